"""A dataset version made of another one: some of its records, with their images as they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..settings.data import Shards
from .dataset import ROW_FIELDS, Row, rows_of, shards_in_order
from .further import further_of
from .layout import MANIFEST, SALT_KEY, Description, read_description
from .preparation import count_by_split
from .profile import Sums
from .shard_cache import ShardCache
from .sharding import POSITION, write_dataset


class StoredImages:
    """The images of a dataset version, in its order."""

    settings = "as they are"

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset

    @cached_property
    def count(self) -> int:
        return int(pq.read_metadata(self._dataset / MANIFEST).num_rows)

    @cached_property
    def size(self) -> int:
        return sum(shard.stat().st_size for shard in shards_in_order(self._dataset))

    def batches(self) -> Iterator[pa.RecordBatch]:
        for shard in shards_in_order(self._dataset):
            yield from pq.read_table(shard, columns=["image"]).to_batches()

    def stored(self, rows: Sequence[Row], images: pa.Table) -> tuple[list[bytes], Sums]:
        """The image of each row, as the shard holds it. Nothing is measured: what was raw is gone."""
        return images["image"].to_pylist(), {}


def write_subset(
    source: Path, target: Path, keep: Callable[[Row], bool], *, shards: Shards, cache: ShardCache
) -> Description:
    """Writes the records of the dataset version in `source` that `keep` says yes to into `target`, as one more.

    For a stage between the one that makes the dataset and the training. Every class keeps its number. Returns the
    description, with the counts of what is left.
    """
    schema = pq.read_schema(source / MANIFEST)
    columns, salt = further_of(schema.names), (schema.metadata or {})[SALT_KEY].decode()
    table = pq.read_table(source / MANIFEST, columns=[*ROW_FIELDS, *columns])
    kept = [position for position, row in enumerate(rows_of(table, columns)) if keep(row)]
    rows = table.take(kept).append_column(POSITION, pa.array(kept, pa.int64()))
    records, subjects = count_by_split(rows)
    description = replace(read_description(source), records=records, subjects=subjects)
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
