"""Interruptions of spot instances that a test orders. The service takes instances away when it needs them."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "interruptions.json"
_lock = threading.Lock()


@dataclass(frozen=True)
class Order:
    """One interruption, of the next spot job that has this name, or comes on after another interruption."""

    job: str = ".*"  # a regular expression
    saves: int = 0  # how often its folder of checkpoints has been seen to change before; 0: from its start on
    delay: float = 0.0  # seconds after that
    grace: float = 120.0  # seconds between SIGTERM and the end


def order(state: Path, *orders: Order) -> None:
    """Adds interruptions, one after the other, to what was ordered."""
    with _lock:
        _write(state, [*_read(state), *orders])


def take(state: Path, job: str) -> Order | None:
    """The next order for this job."""
    with _lock:
        orders = _read(state)
        found = next((one for one in orders if re.fullmatch(one.job, job)), None)
        if found is not None:
            orders.remove(found)
            _write(state, orders)
        return found


def left(state: Path) -> int:
    """How many of the ordered interruptions no job has begun with."""
    return len(_read(state))


def _read(state: Path) -> list[Order]:
    path = state / FILE
    return [Order(**one) for one in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _write(state: Path, orders: list[Order]) -> None:
    (state / FILE).write_text(json.dumps([asdict(one) for one in orders]), encoding="utf-8")
