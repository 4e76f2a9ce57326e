"""When something was made: MLflow's moments, which whoever may write to it can set, held against those of commits.

Orders that cannot be are named. Others may be right: a run long before its commit, a commit that was made again by a
rebase, an object that was copied to another remote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

SKEW = timedelta(minutes=10)  # by which the clocks of two machines may differ


def contradictions(
    times: Mapping[str, int],
    bases: Iterable[str | None],
    *,
    started: datetime | None,
    registered: datetime | None = None,
    committed: datetime | None = None,
) -> list[str]:
    """What cannot be right about the moments that MLflow names.

    `times` are those of commits, `bases` the commits that the training started from, `committed` is when Git first held
    the model.
    """
    found = []
    newest = max((times[base] for base in bases if base and base in times), default=None)
    base = None if newest is None else datetime.fromtimestamp(newest, UTC)
    for what, moment in (("started", started), ("registered", registered)):
        if moment and base and moment < base - SKEW:
            found.append(f"MLflow: {what} at {_text(moment)}; but the commit that it started from is of {_text(base)}")
    if started and registered and registered < started - SKEW:
        found.append(f"MLflow: registered at {_text(registered)}, before its training began at {_text(started)}")
    if started and committed and committed < started - SKEW:
        found.append(f"MLflow: started at {_text(started)}; but Git held its model at {_text(committed)}")
    return found


def moment_of(milliseconds: int | None) -> datetime | None:
    """A moment as MLflow writes it."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
