"""The format of raw records: what every source writes and preprocess reads."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from .layout import RECORDS as RECORDS

SPLIT = "split"  # a column that a source may add where it decides the splits: train, val or test

RAW_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),  # names one record for good
        pa.field("subject_id", pa.string(), nullable=False),  # whom it belongs to
        pa.field("label", pa.string(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),  # the bytes of a PNG or JPEG file
    ]
)


def with_columns(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """A schema with further columns behind it: texts, null where a record has no value."""
    return pa.schema([*schema, *(pa.field(name, pa.string()) for name in columns)])
