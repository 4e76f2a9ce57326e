"""Ranks under the agent of torchrun, which starts them, gives them their numbers and watches them.

https://docs.pytorch.org/docs/stable/elastic/agent.html

Not `elastic_launch`, which wraps the same agent: that would take over the signals of the stage, and let nobody hear
the first rank while it works. There are no restarts: what half of the ranks have learned twice is no result.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import Pipe, active_children
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import Store
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec, WorkerState
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

from ..base.errors import RankError
from ..base.hosts import Hosts
from ..base.printable import printable
from .ranks import LOOPBACK, how_it_ended

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")  # for which the agent sets handlers of its own
MEETING = 1800  # seconds for all machines to come: they install their packages first
LOOK = 0.1  # seconds between two looks at the ranks
PATIENCE = 5.0  # seconds that another machine has to say that it failed first
HEARD = 10.0  # seconds that the first machine stays for the others to learn why all of it ends
LAST = 300  # characters of what a rank said last
FAILED, READ = "failed", "read"  # keys in the store of all machines


def launch(
    function: Callable[..., Any], arguments: tuple[Any, ...], here: int, hosts: Hosts, hear: Callable[[Any], None]
) -> dict[int, Any]:
    """What `function(*arguments, channel, network)` returns in each rank of this machine, by the rank's number.

    `hear` gets what the first rank sends through its channel. Raises RankError if a rank fails, here or elsewhere.
    """
    own, channel = Pipe()
    for name in ("torch.distributed.elastic", "torch.multiprocessing.spawn"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the reason is said here, and without a traceback
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        # what is kept in a file is no progress bar on a terminal any more
        kept = {rank: Std.ALL if rank or not sys.stderr.isatty() else Std.NONE for rank in range(here)}
        spec = WorkerSpec(
            role="rank",
            local_world_size=here,
            rdzv_handler=_meeting(hosts),
            entrypoint=function,
            args=(*arguments, channel, hosts.interface if hosts.count > 1 else None),
            max_restarts=0,
            monitor_interval=LOOK,
            local_addr=hosts.first,
        )
        watch = _Watch(Path(folder), here, hosts, own, hear)
        agent = _Agent(spec, DefaultLogsSpecs(log_dir=folder, tee=kept), watch)
        try:
            result = agent.run()
        except DistError as error:
            what = " ".join(str(error).split())[:LAST]
            raise RankError(f"the processes did not find each other: {what}", kept="they did not meet") from error
        except SignalException as error:  # in the moment in which the agent has its own handlers
            raise KeyboardInterrupt(str(error)) from error
        finally:
            for process in active_children():  # one that was just being started when the stage was interrupted
                process.kill()
                process.join()
        watch.hear_all()
        if result.is_failed():
            raise watch.ended(result)
    return dict(result.return_values)


class _Agent(LocalElasticAgent):
    """That of torchrun; each time it looks at the ranks, something else is looked at as well."""

    def __init__(self, spec: WorkerSpec, logs: DefaultLogsSpecs, watch: _Watch) -> None:
        super().__init__(spec, logs, exit_barrier_timeout=MEETING, log_line_prefix_template="[rank ${rank}] ")
        self._watch = watch

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, Any]:
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        kept = {number: signal.getsignal(number) for number in numbers}
        try:
            return dict(super()._start_workers(worker_group))
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result: RunResult = super()._monitor_workers(worker_group)
        self._watch.store = worker_group.store
        if result.state == WorkerState.HEALTHY:
            self._watch.look()
        return result


def _meeting(hosts: Hosts) -> StaticTCPRendezvous:
    """Where the machines meet: at the first of them."""
    run = "stage"
    if hosts.count > 1:
        return StaticTCPRendezvous(hosts.first, hosts.port, hosts.number, hosts.count, run, MEETING)
    # it would listen to every network, and there is nobody to come
    listener = socket.create_server((LOOPBACK, 0))
    port = listener.getsockname()[1]
    meeting = StaticTCPRendezvous(LOOPBACK, port, 0, 1, run, MEETING)
    meeting._store = TCPStore(
        LOOPBACK,
        port,
        is_master=True,
        timeout=timedelta(seconds=MEETING),
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    return meeting


class _Watch:
    """Hears the first rank, and finds out which rank failed first, and why."""

    def __init__(self, folder: Path, here: int, hosts: Hosts, own: Connection, hear: Callable[[Any], None]) -> None:
        self.store: Store | None = None
        self._folder = folder
        self._here = here
        self._hosts = hosts
        self._own = own
        self._hear = hear
        self._seen: float | None = None  # when the first reason was seen

    @property
    def _is_shared(self) -> bool:
        return self._hosts.count > 1 and self.store is not None

    def hear_all(self) -> None:
        """Hands on what the first rank has told."""
        while self._own.poll():
            self._hear(self._own.recv())
            self._own.send(True)

    def look(self) -> None:
        """Raises RankError if a rank has failed, of this machine or of another."""
        self.hear_all()
        self._require_others()
        if not self._reasons():
            return
        # one that was killed is seen by the agent before those that miss it are heard here
        now = time.monotonic()
        self._seen = self._seen or now
        if now - self._seen >= (PATIENCE if self._is_shared else LOOK):
            raise self._tell_others(self._first_reason())

    def ended(self, result: RunResult) -> RankError:
        """Why it is over, where the agent has seen a rank end."""
        try:
            self._require_others()
        except RankError as error:
            return error
        number, failure = next(iter(result.failures.items()))
        if failure.local_rank in self._reasons():
            return self._tell_others(self._first_reason())
        how = f"{self._name(number)} {how_it_ended(failure.exitcode)}."
        last = self._last_line(failure.local_rank)
        return self._tell_others(RankError(f"{how} It said last: {last}" if last else how, kept=how))

    def _first_reason(self) -> RankError:
        local, reason = min(self._reasons().items(), key=lambda item: float(item[1]["timestamp"]))
        name = self._name(self._hosts.number * self._here + local)
        return RankError(f"{name} failed: {reason['message']}", kept=f"{name} failed: {reason['kept']}")

    def _reasons(self) -> dict[int, dict[str, Any]]:
        """What the ranks that failed have left, by their numbers on this machine."""
        found = self._folder.rglob("error.json")
        return {int(path.parent.name): json.loads(path.read_text(encoding="utf-8")) for path in found}

    def _name(self, number: int) -> str:
        where = f" on machine {self._hosts.number + 1} of {self._hosts.count}" if self._hosts.count > 1 else ""
        return f"rank {number} of {self._here * self._hosts.count}{where}"

    def _last_line(self, local: int) -> str:
        """The last line that a rank wrote, where it is kept."""
        for name in ("stderr.log", "stdout.log"):
            for path in self._folder.rglob(f"{local}/{name}"):
                lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
                if said := [line for line in lines if line.strip()]:
                    return printable(said[-1].strip()[-LAST:])
        return ""

    def _require_others(self) -> None:
        """Raises RankError if another machine has said that it failed, or if the first of them is gone."""
        if not self._is_shared:
            return
        assert self.store is not None
        try:
            said = json.loads(self.store.get(FAILED)) if self.store.check([FAILED]) else None
            if said is not None and said["machine"] != self._hosts.number:
                self.store.add(READ, 1)
        except (RuntimeError, ValueError) as error:
            message = "the first machine does not answer any more: its log says why."
            raise RankError(message, kept=message) from error
        if said is not None:
            raise RankError(said["message"], kept=said["kept"])

    def _tell_others(self, error: RankError) -> RankError:
        """Says it to the other machines. Returns the reason of whoever was first to say one."""
        if not self._is_shared:
            return error
        assert self.store is not None
        said = {"message": str(error), "kept": error.without_ids, "machine": self._hosts.number}
        try:
            first = json.loads(self.store.compare_set(FAILED, "", json.dumps(said)))
            if first["machine"] != self._hosts.number:
                self.store.add(READ, 1)
            until = time.monotonic() + HEARD
            while self._hosts.is_first and self.store.add(READ, 0) < self._hosts.count - 1:
                if time.monotonic() > until:
                    break
                time.sleep(LOOK)
        except RuntimeError:  # the first machine is gone, and with it who could be told
            return error
        return RankError(first["message"], kept=first["kept"])
