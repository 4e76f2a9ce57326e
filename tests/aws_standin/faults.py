"""Faults that a test orders: the next requests of some kind get another answer than AWS would give."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

FILE = "faults.json"
_lock = threading.Lock()


def order(state: Path, request: str, *, status: str, times: int = 1, body: str = "") -> None:
    """Lets the next `times` requests that match `request` fail.

    `request` is a regular expression for the method, a space, and the path; or instead of the path the target of a
    call of the JSON API, such as `SageMaker.DescribeTrainingJob`.
    """
    faults = _read(state)
    faults.append({"request": request, "status": status, "times": times, "body": body})
    (state / FILE).write_text(json.dumps(faults), encoding="utf-8")


def take(state: Path, request: str) -> dict[str, Any] | None:
    """The answer that was ordered for this request; None if none was."""
    with _lock:
        faults = _read(state)
        for fault in faults:
            if fault["times"] and re.fullmatch(fault["request"], request):
                fault["times"] -= 1
                (state / FILE).write_text(json.dumps(faults), encoding="utf-8")
                return dict(fault)
    return None


def left(state: Path) -> int:
    """How many of the ordered faults nobody has met."""
    return sum(fault["times"] for fault in _read(state))


def forget(state: Path) -> None:
    """Takes back all orders."""
    with _lock:
        (state / FILE).unlink(missing_ok=True)


def _read(state: Path) -> list[dict[str, Any]]:
    path = state / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
