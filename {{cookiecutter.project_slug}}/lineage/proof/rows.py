"""Rows of tables that may not fit in memory: read some MB at a time, and held against each other by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

DIGEST = 32  # bytes that stand for a row: nobody finds two rows that have the same
BATCH = 4 * 2**20  # bytes of a file that are read at once, about
MOST_ROWS = 16_384


def batches(file: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, some MB at a time. Raises ValueError if it lacks one of `columns`.

    A page of each column is in memory: of a shard, those of 1,024 rows.
    """
    import pyarrow.parquet as pq

    # with a buffer, pages are read when they are needed; without one, a column of all rows
    with pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as parquet:
        if lacking := [name for name in columns or () if name not in parquet.schema_arrow.names]:
            raise ValueError(f"{file.name} has no column {lacking[0]}")
        rows = parquet.metadata.num_rows * BATCH // max(1, file.stat().st_size)
        yield from parquet.iter_batches(max(1, min(MOST_ROWS, rows)), columns=columns, use_threads=False)


def digests(rows: Iterable[pa.RecordBatch], columns: list[str]) -> NDArray[np.bytes_]:
    """A hash of each row over `columns`, in the order of the rows."""
    return as_array(b"".join(digests_of(batch, columns) for batch in rows))


def digests_of(batch: pa.RecordBatch, columns: list[str]) -> bytes:
    """The same of one batch, one after the other."""
    values = zip(*(batch[name].to_pylist() for name in columns), strict=True)
    # repr is another one for rows that differ in a value or in the type of one
    hashes = (hashlib.blake2b(repr(row).encode(), digest_size=DIGEST, usedforsecurity=False) for row in values)
    return b"".join(each.digest() for each in hashes)


def as_array(found: bytes) -> NDArray[np.bytes_]:
    """Digests that follow each other, to sort and to compare."""
    import numpy as np

    return np.frombuffer(found, f"S{DIGEST}")  # numpy does not show zeros at the end, and compares them all the same
