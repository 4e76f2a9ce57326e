"""A dataset version made of another one: some of its records, with their images as they are there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import pyarrow.parquet as pq

from ..settings.data import Shards
from .dataset import MANIFEST, SALT_KEY, Description, Row, read_description, shards_in_order
from .shard_cache import ShardCache
from .sharding import write_dataset


class StoredImages:
    """The images of a dataset version, by row."""

    def __init__(self, dataset: Path) -> None:
        tables = [pq.read_table(shard, columns=["record_id", "image"]) for shard in shards_in_order(dataset)]
        self._images = {row["record_id"]: row["image"] for table in tables for row in table.to_pylist()}

    def stored(self, rows: Sequence[Row]) -> list[bytes]:
        """The image of each row, as the shard holds it."""
        return [self._images[row.record_id] for row in rows]

    def fingerprint(self, rows: Sequence[Row]) -> str:
        """A hash of the images."""
        return hashlib.sha256(b"".join(hashlib.sha256(image).digest() for image in self.stored(rows))).hexdigest()


def write_subset(
    source: Path, target: Path, keep: Callable[[Row], bool], *, shards: Shards, cache: ShardCache
) -> Description:
    """Writes the records of the dataset version in `source` that `keep` says yes to into `target`, as one more.

    For a stage between the one that makes the dataset and the training. Every class keeps its number. Returns the
    description, with the counts of what is left.
    """
    table = pq.read_table(source / MANIFEST, columns=[field.name for field in fields(Row)])
    salt = (pq.read_schema(source / MANIFEST).metadata or {})[SALT_KEY].decode()
    rows = [row for row in (Row(**each) for each in table.to_pylist()) if keep(row)]
    before = read_description(source)
    description = replace(
        before,
        records={split: sum(row.split == split for row in rows) for split in before.records},
        subjects={split: len({row.subject_id for row in rows if row.split == split}) for split in before.subjects},
    )
    write_dataset(
        target,
        rows,
        StoredImages(source),
        description,
        subjects=shards.subjects,
        salt=shards.salt,
        subject_salt=salt,
        cache=cache,
    )
    cache.tidy()
    return description
