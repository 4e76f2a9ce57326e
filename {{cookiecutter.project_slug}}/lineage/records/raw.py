"""The format of raw records: what every source writes and preprocess reads."""

from __future__ import annotations

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
