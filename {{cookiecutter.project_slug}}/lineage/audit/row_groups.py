"""The row groups of a manifest that can hold some subjects, by the statistics that the file itself states."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.errors import LineageError

SUBJECT = "subject_id"


def groups_with(file: Any, column: str, values: Sequence[str]) -> Any:
    """The row groups of a manifest in which a column has any of the values, as a table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ordered = sorted(values)
    wanted, found = pa.array(ordered, pa.string()), []
    for number in range(file.num_row_groups):
        span = _span(file, number) if column == SUBJECT else None  # only these were found to be true
        if span and not _any_between(ordered, *span):
            continue
        if pc.any(pc.is_in(file.read_row_group(number, [column])[column], wanted)).as_py():
            found.append(number)
    return file.read_row_groups(found)


def require_true_statistics(path: Path, dataset: str) -> None:
    """Raises LineageError if rows would be passed over because the manifest at `path` says that they are not there."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            span = _span(file, number)
            if span is None:
                continue
            held: dict[str, Any] = pc.min_max(file.read_row_group(number, [SUBJECT])[SUBJECT]).as_py() or {}
            if held.get("min") is not None and not span[0] <= held["min"] <= held["max"] <= span[1]:
                raise LineageError(f"the statistics in the manifest of dataset {dataset} are not those of its rows")


def _span(file: Any, number: int) -> tuple[str, str] | None:
    """The least and the greatest subject of a row group, as the file states them; None if it does not."""
    place = file.schema_arrow.names.index(SUBJECT)
    span = file.metadata.row_group(number).column(place).statistics
    return (span.min, span.max) if span is not None and span.has_min_max else None


def _any_between(ordered: Sequence[str], least: str, greatest: str) -> bool:
    first = bisect_left(ordered, least)
    return first < len(ordered) and ordered[first] <= greatest
