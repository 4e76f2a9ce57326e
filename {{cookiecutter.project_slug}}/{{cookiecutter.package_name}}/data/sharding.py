"""Writes a dataset version: rows in order, cut into shards where a hash of a subject's id says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DataError
from .dataset import DESCRIPTION, MANIFEST, SHARD_SCHEMA, SHARDS, Description, Record
from .selection import ends_shard


def write_dataset(
    folder: Path, records: Iterable[Record], description: Description, *, subjects: int, salt: str
) -> None:
    """Writes a dataset version into `folder`. The same records give the same bytes, in whatever order they come.

    `subjects` is the average number of subjects a shard holds, `salt` decides which. Raises DataError if two records
    have one id.
    """
    ordered = sorted(records, key=lambda record: (record.subject_id, record.record_id))
    _refuse_doubles(ordered)
    (folder / SHARDS).mkdir(parents=True)
    manifest: list[pa.Table] = []
    for shard in _cut(ordered, subjects, salt):
        table = pa.Table.from_pylist([record.row() for record in shard], schema=SHARD_SCHEMA)
        _write_table(table, folder / SHARDS)
        manifest.append(table.drop_columns(["image"]))
    pq.write_table(pa.concat_tables(manifest), folder / MANIFEST, compression="none")
    text = json.dumps(asdict(description), indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")


def _cut(ordered: list[Record], subjects: int, salt: str) -> Iterator[list[Record]]:
    shard: list[Record] = []
    for record, following in zip(ordered, [*ordered[1:], None], strict=True):
        shard.append(record)
        last_of_subject = following is None or following.subject_id != record.subject_id
        if following is None or (last_of_subject and ends_shard(record.subject_id, subjects, salt)):
            yield shard
            shard = []


def _write_table(table: pa.Table, folder: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none")  # the same bytes on every platform
    data = sink.getvalue().to_pybytes()
    (folder / f"{hashlib.sha256(data).hexdigest()[:16]}.parquet").write_bytes(data)


def _refuse_doubles(ordered: list[Record]) -> None:
    seen: set[str] = set()
    for record in ordered:
        if record.record_id in seen:
            raise DataError(f"two records have the id {record.record_id!r}. An id must name one record for good.")
        seen.add(record.record_id)
