"""How good the model is on parts of the test split, and whether it was better before."""

from __future__ import annotations

from typing import Any

from ...base.markdown import plain, table
from ..diff.difference import Difference
from ..diff.section import counted
from ..diff.words import score
from ..predictions import TEST, Predictions, predictions_of
from .few import Few

VALUES = 30  # of a column


def slices(found: Difference, few: Few) -> tuple[str, list[str]]:
    """A line and a table: of each value of each slice that B keeps, the accuracy, and the change on the same records.

    Values of few subjects are counted. Raises LineageError if the predictions of B cannot be had.
    """
    said = predictions_of(found.b.evidence, found.b.recorded).of_split(TEST)
    if not said.slices:
        return "none are asked for (`evaluate.slices`)", []
    before = (found.document["sections"]["metrics"]["paired"] or {}).get("slices", {})
    rows = [row for name in said.slices for row in _rows(said, name, before.get(name, {}), few)]
    body = table(["slice", "accuracy", "records", "subjects", "on the same records"], rows)
    return f"{len(said.slices)} ({plain(', '.join(said.slices))})", body


def _rows(said: Predictions, name: str, before: dict[str, Any], few: Few) -> list[list[str]]:
    places = said.rows_by(name)
    subjects = {value: len(set(said.owners[rows].tolist())) for value, rows in places.items()}
    large = [value for value in places if subjects[value] >= few.least]
    found = []
    for value in sorted(large, key=lambda each: (each is None, str(each)))[:VALUES]:
        shown, rows = "(none)" if value is None else value, places[value]
        change = before.get(shown, {})
        is_known = "difference" in change and not few.is_in(change)
        cells = [f"{said.right[rows].mean():.3f}", str(len(rows)), str(subjects[value])]
        found.append([plain(f"{name} {shown}"), *cells, plain(score(change)) if is_known else "unknown"])
    if len(large) > VALUES:
        found.append([plain(name), f"and {len(large) - VALUES} more", "", "", ""])
    if small := len(places) - len(large):
        text = f"{counted(small, 'value')} of fewer than {few.least} subjects: not shown"
        found.append([plain(name), text, "", "", ""])
    return found
