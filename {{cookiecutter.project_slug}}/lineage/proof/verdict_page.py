"""Verdicts as a page that can be printed: what was asked, the answer, how it can be checked, what it does not say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base.pages import render, write_whole
from .shown import day, ticks
from .verify import LIMITS, Verdict

PAGE = Path(__file__).with_name("verdict.html.jinja")


def write_verdicts(verdicts: list[Verdict], asked: str, scope: str, path: Path) -> None:
    """Writes the page of these verdicts. Links name ids of records where some are not as they should be."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    filters: dict[str, Callable[..., Any]] = {"day": day, "ticks": ticks}
    write_whole(path, render(PAGE, filters, verdicts=verdicts, asked=asked, scope=scope, limits=LIMITS, made=made))
