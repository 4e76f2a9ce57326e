"""Verdicts as a page that can be printed: what was asked, the answer, how it can be checked, what it does not say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ..base.pages import render, write_whole
from .verify import LIMITS, Verdict

PAGE = Path(__file__).with_name("verdict.html.jinja")


def write_verdicts(verdicts: list[Verdict], asked: str, scope: str, path: Path) -> None:
    """Writes the page of these verdicts. Links name ids of records where some are not as they should be."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    write_whole(path, render(PAGE, verdicts=verdicts, asked=asked, scope=scope, limits=LIMITS, made=made))
