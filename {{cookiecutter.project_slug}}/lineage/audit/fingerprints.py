"""Whether two tables hold the same rows, in whatever order: of all together, their number and the sum of hashes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..dvc.objects import Objects
from ..records.dataset import MANIFEST_SCHEMA
from ..records.layout import SHARDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COLUMNS = ", ".join(MANIFEST_SCHEMA.names)


class Fingerprints:
    """Of tables that DuckDB can read, and of the shards of dataset versions."""

    def __init__(self, objects: Objects, duckdb: DuckDBPyConnection) -> None:
        self._objects = objects
        self._duckdb = duckdb

    def of(self, table: str) -> tuple[int, int]:
        """Of what follows FROM in a question."""
        question = f"SELECT count(*), sum(hash({COLUMNS})) FROM {table}"  # noqa: S608  columns of the schema
        ((count, total),) = self._duckdb.execute(question).fetchall()
        return int(count), int(total or 0)

    def of_shards(self, md5: str) -> tuple[int, int]:
        """Of all shards of a dataset version together."""
        shards = {name for path, name in self._objects.listing(md5).items() if path.startswith(f"{SHARDS}/")}
        rows = [self._of_shard(name) for name in sorted(shards)]
        return sum(count for count, _ in rows), sum(total for _, total in rows)

    @cache  # noqa: B019  versions have most of them in common
    def _of_shard(self, name: str) -> tuple[int, int]:
        import pyarrow.parquet as pq

        with self._objects.open(name) as file:  # of a remote one, only the columns are fetched
            shard = pq.ParquetFile(file).read(columns=MANIFEST_SCHEMA.names, use_threads=False)
        self._duckdb.register("shard", shard)
        return self.of("shard")
