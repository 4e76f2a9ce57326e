"""Processes that share the work of one: they end with it, however it ends."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TypeVar

SYSTEM = Path("/sys")

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """How many processors this process may use."""
    return max(1, min(len(_usable()), _quota()))


def cores(system: Path = SYSTEM) -> int:
    """How many physical cores this process may use: of the processors that share one, one is counted."""
    if not hasattr(os, "sched_getaffinity"):
        import psutil

        return psutil.cpu_count(logical=False) or 1
    places = (system / f"devices/system/cpu/cpu{number}/topology/thread_siblings_list" for number in _usable())
    together = {place.read_text() if place.exists() else str(place) for place in places}
    return max(1, min(len(together), _quota(system)))


def _usable() -> set[int]:
    """The numbers of the processors that this process may run on."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {*range(os.cpu_count() or 1)}


def _quota(system: Path = SYSTEM) -> int:
    """How many processors' time a container grants; where it grants all, more than there are."""
    groups = system / "fs/cgroup"
    try:
        quota, period = (groups / "cpu.max").read_text().split()  # https://docs.kernel.org/admin-guide/cgroup-v2.html
    except (OSError, ValueError):
        try:  # of the first version of control groups
            quota, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return sys.maxsize
    granted = int(quota) if quota != "max" else -1
    return math.ceil(granted / int(period)) if granted > 0 else sys.maxsize


def work_through(function: Callable[[T], R], tasks: Iterable[T], processes: int) -> Iterator[R]:
    """What `function` returns for each of `tasks`, in their order. One process is this one.

    Functions, tasks and results of several processes are pickled, so `function` stands in a module.
    """
    if processes == 1:
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent) as pool:
        yield from pool.map(function, tasks)


def end_with_parent() -> None:
    """Called in such a process, before its work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the one that waits for all decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
