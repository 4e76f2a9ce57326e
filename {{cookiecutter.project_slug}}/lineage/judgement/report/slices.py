"""How good the model is on parts of the test split, and whether it was better before."""

from __future__ import annotations

from typing import Any

from ...base.markdown import plain, table
from ..diff.difference import Difference
from ..diff.words import score
from ..predictions import TEST, Predictions, predictions_of

VALUES = 30  # of a column


def slices(found: Difference) -> tuple[str, list[str]]:
    """A line and a table: of each value of each slice that B keeps, the accuracy, and the change on the same records.

    Raises LineageError if the predictions of B cannot be had.
    """
    said = predictions_of(found.b.evidence, found.b.recorded).of_split(TEST)
    if not said.slices:
        return "none are asked for (`evaluate.slices`)", []
    before = (found.document["sections"]["metrics"]["paired"] or {}).get("slices", {})
    rows = [row for name in said.slices for row in _rows(said, name, before.get(name, {}))]
    body = table(["slice", "accuracy", "records", "subjects", "on the same records"], rows)
    return f"{len(said.slices)} ({plain(', '.join(said.slices))})", body


def _rows(said: Predictions, name: str, before: dict[str, Any]) -> list[list[str]]:
    places = said.rows_by(name)
    found = []
    for value in sorted(places, key=lambda each: (each is None, str(each)))[:VALUES]:
        shown, rows = "(none)" if value is None else value, places[value]
        change = before.get(shown, {})
        cells = [f"{said.right[rows].mean():.3f}", str(len(rows)), str(len(set(said.owners[rows].tolist())))]
        found.append([plain(f"{name} {shown}"), *cells, plain(score(change)) if "difference" in change else "unknown"])
    if len(places) > VALUES:
        found.append([plain(name), f"and {len(places) - VALUES} more", "", "", ""])
    return found
