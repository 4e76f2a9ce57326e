"""The format of a dataset version: Parquet shards, a manifest, a description.

    shards/<content hash>.parquet   one row a record, sorted by subject_id, then record_id; image bytes in a column
    manifest.parquet                the same rows in the same order without the image bytes; its metadata hold the root
                                    of the Merkle tree over the subjects (merkle.py), and its salt
    dataset.json                    classes, image shape, counts

Further columns of the source, if data.columns names some, follow those below in manifest and shards (further.py).

A subject's records are in one shard, and a hash of the subject's id decides whether a shard ends with it. Adding or
removing subjects therefore rewrites only the shards they fall in; all others keep their bytes and their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .layout import SHARDS

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("content_sha256", pa.string(), nullable=False),  # of the image bytes in the shard
    ]
)
IMAGE = pa.field("image", pa.binary(), nullable=False)
SHARD_SCHEMA = MANIFEST_SCHEMA.append(IMAGE)


def manifest_schema(columns: Sequence[str] = ()) -> pa.Schema:
    """That of a manifest with further columns."""
    return pa.schema([*MANIFEST_SCHEMA, *(pa.field(name, pa.string(), nullable=False) for name in columns)])


@dataclass(frozen=True, order=True)
class Row:
    """One row of a manifest, but for the hash of the image. Rows are in this order."""

    subject_id: str
    record_id: str
    split: str
    label: str
    further: tuple[str, ...] = ()  # the values of further columns, in their order


ROW_FIELDS = ["subject_id", "record_id", "split", "label"]
FIELDS = attrgetter(*ROW_FIELDS, "further")  # `astuple` copies, and takes 30 times as long


def rows_of(table: pa.Table, columns: Sequence[str] = ()) -> list[Row]:
    """The rows of a table that has their columns, and further `columns`."""
    own = zip(*(table[name].to_pylist() for name in ROW_FIELDS), strict=True)
    if not columns:
        return [Row(*values) for values in own]
    further = zip(*(table[name].to_pylist() for name in columns), strict=True)
    return [Row(*values, more) for values, more in zip(own, further, strict=True)]


def read_split(folder: Path, split: str) -> Iterator[tuple[bytes, str]]:
    """PNG bytes and label of each record of one split, in the order of the manifest. One shard is in memory."""
    for shard in shards_in_order(folder):
        with pq.ParquetFile(shard) as file:
            table = file.read(columns=["split", "label", "image"])
        images, labels = table["image"], table["label"]
        # neither `read_table` nor a filter by a text of Python's: both import pandas, which takes 0.4 s
        for row, found in enumerate(table["split"].to_pylist()):
            if found == split:
                yield images[row].as_py(), labels[row].as_py()


def shards_in_order(folder: Path) -> list[Path]:
    """The shards in the order of the manifest. Their names say nothing of it: they are hashes of their contents."""
    first = {path: _first_key(path) for path in (folder / SHARDS).glob("*.parquet")}
    return sorted(first, key=lambda path: first[path])


def _first_key(path: Path) -> tuple[str, str]:
    row = pq.ParquetFile(path).read_row_group(0, columns=["subject_id", "record_id"]).slice(0, 1)
    return row["subject_id"][0].as_py(), row["record_id"][0].as_py()
