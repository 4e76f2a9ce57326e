"""Several processes that do the work of one stage together: ranks, on this machine and on others that run it too.

The agent of torchrun starts and watches them (launcher.py). They run the same sources as the stage: a process that is
started in this way begins with scripts/stage.py.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import ChangedError, ProjectError, SettingsError
from ..base.hosts import Hosts
from ..base.workers import end_with_parent
from ..contract import ROOT
from .sources import loaded_sources

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # named for each rank by the agent
STAYS = 120  # seconds that a rank which failed waits to be ended: what others say because of it is no reason
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Rank:
    """One of several processes. All of them do the same work, each on its share."""

    number: int  # from 0
    of: int
    local: int  # its number among those on this machine, from 0
    tell: Callable[[Any], None]  # says something to the stage; only the first rank is heard

    @property
    def is_first(self) -> bool:
        """Whether this one speaks for all."""
        return self.number == 0


def processes_here(processes: int, hosts: Hosts) -> int:
    """How many of `processes` run on this machine. Raises SettingsError if they cannot be shared out evenly."""
    if processes % hosts.count:
        raise SettingsError(
            f"{processes} processes cannot be shared out to {hosts.count} machines. Set a multiple of {hosts.count}."
        )
    return processes // hosts.count


def work_in_ranks(
    function: Callable[[Rank, Any], Any], argument: Any, *, processes: int, hosts: Hosts, hear: Callable[[Any], None]
) -> Any:
    """What `function(rank, argument)` returns in the first of several processes; None where another machine has that.

    `hear` gets, in this process, what the first rank tells; what it raises ends them all. Function, argument and what
    is told or returned are pickled, so the function stands in a module.

    Raises SettingsError if `processes` cannot be shared out, RankError with the rank and its reason if one fails.
    """
    from .launcher import launch

    here = processes_here(processes, hosts)
    returned = launch(_as_rank, (function, argument), here, hosts, hear)
    for _, loaded in returned.values():
        _note_loaded(loaded)
    return returned[0][0] if hosts.is_first else None


def _note_loaded(there: dict[str, str]) -> None:
    """Files of the project that a rank has loaded count as this process's own, for whoever asks which took part."""
    here = loaded_sources()
    if here is None:
        return
    for path, md5 in there.items():
        if here.setdefault(path, md5) != md5:
            raise ChangedError(f"{path} changed while it worked: two of its processes have run two versions of it.")


def _as_rank(function: Callable[[Rank, Any], Any], argument: Any, channel: Connection, interface: str | None) -> Any:
    """What each of the processes runs."""
    end_with_parent()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for library in ("GLOO", "NCCL"):  # else each of them takes a network that it finds by the machine's name
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", interface or _loopback())
    number, of, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))

    def tell(message: Any) -> None:
        if number == 0:
            channel.send(message)
            channel.recv()  # the stage has heard it, and goes on

    try:
        returned = function(Rank(number, of, local, tell), argument)
    except Exception as error:
        if not isinstance(error, ProjectError):
            traceback.print_exc()
        _leave_reason(error)
        time.sleep(STAYS)
        sys.exit(1)
    return returned if number == 0 else None, dict(loaded_sources() or {})


def _leave_reason(error: Exception) -> None:
    """Writes down why this rank fails, all of it at once: who reads it does not wait for the end of a file."""
    if isinstance(error, ProjectError):
        said, kept = str(error), error.without_ids or type(error).__name__
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        text = " ".join(str(error).split()).rstrip(".")[:500]
        said, kept = f"{type(error).__name__}: {text}{place}.", f"{type(error).__name__}{place}"
    path = Path(os.environ[ERROR_FILE])
    partial = path.with_suffix(".partial")
    # `message` and `timestamp` are read by the agent
    partial.write_text(json.dumps({"message": said, "kept": kept, "timestamp": time.time()}), encoding="utf-8")
    partial.replace(path)


def _is_own(filename: str) -> bool:
    """Whether it is the project's code, and not what all ranks begin with."""
    path = Path(filename)
    return path.is_relative_to(ROOT) and not path.is_relative_to(sys.prefix) and filename != __file__


def _loopback() -> str:
    """The name of the network that only this machine is on."""
    import psutil

    addresses = psutil.net_if_addrs().items()
    return next((name for name, found in addresses if any(each.address == LOOPBACK for each in found)), "lo")


def how_it_ended(code: int) -> str:
    """What an exit status says of a process that left no reason."""
    if code >= 0:
        return f"ended with status {code}"
    name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
    hint = ": the system does that where memory runs out. Use fewer processes, smaller batches or more memory"
    return f"was ended by {name}{hint if name == 'SIGKILL' else ''}"
