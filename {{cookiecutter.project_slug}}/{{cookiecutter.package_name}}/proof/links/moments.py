"""Whether the times that MLflow states fit those of commits: who may write to MLflow can set its times."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from ..case import Case
from ..recompute import Tally

if TYPE_CHECKING:
    from mlflow.entities import Run

SKEW = 3600  # seconds that the clocks of two machines may be apart


def compare_moments(case: Case, run: Run, tally: Tally) -> None:
    """A run starts after the commit it started from, and ends before its model is registered and committed."""
    moments: list[tuple[str, float]] = []
    start = (case.document["training_run"].get("started_from") or {}).get("mlflow.source.git.commit")
    if start and case.history.resolve(start) is not None:
        moments.append((f"commit {start[:12]}, which it started from,", _of_commit(case, start)))
    moments.append(("its start", run.info.start_time / 1000))
    if run.info.end_time:
        moments.append(("its end", run.info.end_time / 1000))
    if case.version is not None:
        moments.append(("the registration", case.version.creation_timestamp / 1000))
    moments.append((f"the result commit {case.commit[:12]}", _of_commit(case, case.commit)))
    for (first, earlier), (second, later) in pairwise(moments):
        tally.looked_at += 1
        if earlier > later + SKEW:
            tally.unknown.append(f"{first} is at {_shown(earlier)}, {second} at {_shown(later)}: that cannot be")


def _of_commit(case: Case, commit: str) -> float:
    return datetime.fromisoformat(case.history.info(commit).date).timestamp()


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
