"""Processes that share the work of one: they end with it, however it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
