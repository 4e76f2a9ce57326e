"""Ctrl-C and SIGTERM, and the moments in which they have to wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_received: list[int] = []


def raise_on_signals() -> None:
    """Lets SIGTERM, and a terminal that is closed, end a stage as Ctrl-C does: so that callbacks hear of it."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # a shell in the background has it ignored
        signal.signal(signal.SIGINT, _interrupt)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:  # nohup has asked for it to be ignored
        signal.signal(hangup, _interrupt)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal are ignored in the block: what it leaves half done would cost money."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    kept = {number: signal.signal(number, signal.SIG_IGN) for name in names if (number := getattr(signal, name, None))}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def require_uninterrupted() -> None:
    """Raises KeyboardInterrupt if a signal came before. Python drops what is raised while an object is finalized."""
    if _received:
        raise KeyboardInterrupt(_sentence(_received[0]))


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt(_sentence(number))


def _sentence(number: int) -> str:
    return f"signal {number}, process {os.getpid()}"
