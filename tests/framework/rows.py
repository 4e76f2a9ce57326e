"""Rows of a dataset version as the table that they are written from."""

from __future__ import annotations

import pyarrow as pa

from lineage.records.dataset import ROW_FIELDS, Row
from lineage.records.sharding import POSITION


def table_of(rows: list[Row], source: list[str]) -> pa.Table:
    """`source` has the ids of the records in the order in which their images come."""
    places = {record_id: place for place, record_id in enumerate(source)}
    columns = {name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in ROW_FIELDS}
    return pa.table({**columns, POSITION: pa.array([places[row.record_id] for row in rows], pa.int64())})
