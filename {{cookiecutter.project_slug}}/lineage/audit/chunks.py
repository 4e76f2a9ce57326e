"""The rows of manifests in chunks that dataset versions have in common, cut where the content of a row says so.

A chunk does not depend on what comes before or after it, so that a subject who leaves changes the chunk that he was in,
and no other. Where rows are cut decides how much is kept twice, never an answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..records.dataset import MANIFEST_SCHEMA, manifest_schema
from ..records.further import further_of

CONTENT, ENDS = "content_sha256", "00"  # one row of 256 may be the last of a chunk
LEAST, MOST = 256, 8192  # rows
CODEC = "zstd"
SUBJECT = MANIFEST_SCHEMA.names.index("subject_id")
COLUMNS = ("subject_id", "record_id", "split", "label", "content_sha256")  # of a row

Row = tuple[str, ...]  # the values of COLUMNS


def chunks_of(file: Any) -> Iterator[pa.RecordBatch]:
    """All rows of an open manifest, in their order. A few row groups are in memory.

    Raises ValueError if it cannot be read, or is no manifest as this framework writes them.
    """
    schema = file.schema_arrow.remove_metadata()
    if not schema.equals(manifest_schema(further_of(schema.names))):
        raise ValueError("it has other columns than a manifest")
    left = MANIFEST_SCHEMA.empty_table()
    for number in range(file.num_row_groups):
        rows = pa.concat_tables([left, _group(file, number)]).combine_chunks()
        ends = _ends(rows)
        yield from (_batch(rows.slice(begin, end - begin)) for begin, end in pairwise([0, *ends]))
        left = rows.slice(ends[-1] if ends else 0)
    if left.num_rows:
        yield _batch(left)


def _group(file: Any, number: int) -> pa.Table:
    try:
        rows = file.read_row_group(number, columns=MANIFEST_SCHEMA.names, use_threads=False)
    except OSError as error:  # the checksum of a page
        raise ValueError(str(error)) from error
    return rows.replace_schema_metadata()


def _ends(rows: pa.Table) -> list[int]:
    """Where chunks end: behind which of these rows, the first of which begins one. Behind the last may be more."""
    marked = np.flatnonzero(pc.ends_with(rows[CONTENT], ENDS).to_numpy()) + 1
    ends, begin = list[int](), 0
    for end, is_marked in [*((int(end), True) for end in marked), (rows.num_rows, False)]:
        while end - begin > MOST:
            begin += MOST
            ends.append(begin)
        if is_marked and end - begin >= LEAST:
            begin = end
            ends.append(begin)
    return ends


def _batch(rows: pa.Table) -> pa.RecordBatch:
    (batch,) = rows.combine_chunks().to_batches()
    return batch


def identity_of(batch: pa.RecordBatch) -> bytes:
    """A SHA-256 of the rows of a chunk, of their texts and nothing else."""
    digest = hashlib.sha256()
    for column in batch.columns:
        _, offsets, data = column.buffers()
        ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
        digest.update((ends - ends[0]).tobytes())
        digest.update(data[ends[0] : ends[-1]] if data is not None else b"")
    return digest.digest()


def pack(batch: pa.RecordBatch) -> tuple[bytes, int]:
    """The rows of a chunk, compressed, and how many bytes they are when they are not."""
    packed = batch.serialize()
    return pa.Codec(CODEC, 1).compress(packed, asbytes=True), packed.size


def rows_with(data: bytes, size: int, subject_id: str) -> list[Row]:
    """The rows of a subject in what `pack` has given."""
    batch = pa.ipc.read_record_batch(pa.Codec(CODEC).decompress(data, size), MANIFEST_SCHEMA)
    held = batch.filter(pc.equal(batch.column(SUBJECT), subject_id))
    return list(zip(*(held[name].to_pylist() for name in COLUMNS), strict=True))


def keys_of(batch: pa.RecordBatch) -> list[int]:
    """The keys of the subjects of a chunk. Raises ValueError if some text in it is none."""
    batch.validate(full=True)
    return [key_of(subject_id) for subject_id in batch.column(SUBJECT).unique().to_pylist()]


def key_of(subject_id: str) -> int:
    """64 bits by which a subject is looked up. Two may share them: whoever finds one compares the ids themselves."""
    return int.from_bytes(hashlib.blake2b(subject_id.encode(), digest_size=8).digest(), "big")
