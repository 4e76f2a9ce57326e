"""Python's garbage collector: what is imported makes much and drops nothing, and to look through it takes its time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Nothing is collected meanwhile; what was imported is never looked through again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def collect_rarely() -> None:
    """For a process that imports much, does one thing and ends."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
