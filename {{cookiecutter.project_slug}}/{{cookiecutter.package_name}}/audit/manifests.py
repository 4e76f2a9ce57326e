"""The manifests of dataset versions, each read once for all the models that rest on it, and asked with DuckDB.

A manifest is an object of DVC: it comes from the cache or the remote, and its hash is computed anew before it is asked.
It counts only if it agrees with the shards, whose id columns are read beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.dataset import MANIFEST, MANIFEST_SCHEMA, ROOT_KEY, SHARDS
from ..errors import LineageError, ProjectError
from ..lineage.hashes import md5_of_file
from ..proof.case import Evidence
from ..proof.dataset import subject_tree

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COLUMNS = ", ".join(MANIFEST_SCHEMA.names)
# of all rows together, in whatever order: their number, and the sum of their hashes
FINGERPRINT = f"SELECT count(*), sum(hash({COLUMNS})) FROM "  # noqa: S608  columns of the schema
ERASED = "erased"  # in the place of what was
MEMORY = "600MB"  # for DuckDB; what does not fit goes to disk


@dataclass(frozen=True)
class Record:
    """A record of a subject in one dataset version."""

    dataset: str
    subject_id: str
    record_id: str
    split: str
    label: str
    content_sha256: str


class Manifests:
    """The manifests of several dataset versions. `faults` says which of them cannot be relied on, and why."""

    def __init__(self, evidence: Evidence, datasets: Iterable[str]) -> None:
        self._objects = evidence.objects
        self._erasures = evidence.erasures
        self._kept = evidence.main / ".dvc" / "tmp" / "kept" / "audit"
        self._scratch = tempfile.TemporaryDirectory()  # names without characters that are patterns to DuckDB
        self.faults: dict[str, str] = {}
        self.usable: list[str] = []
        self._fingerprints: dict[str, tuple[int, int]] = {}  # by shard: versions have most of them in common
        wanted = list(datasets)
        _ = evidence.objects.remote_or_none, evidence.erasures.all  # opened by one thread
        with ThreadPoolExecutor() as pool:
            for md5, fault in zip(wanted, pool.map(self._link, wanted), strict=True):
                fault = fault or self._compare_with_shards(md5)
                if fault:
                    self.faults[md5] = fault
                else:
                    self.usable.append(md5)

    def records_of(self, ids: Sequence[str]) -> list[Record]:
        """Every record of these subjects in any of the dataset versions; of erased ones, only that there were some."""
        return [*self._select("subject_id", ids, self.usable), *self._erased_records(ids)]

    def records_with(self, contents: Sequence[str], datasets: Sequence[str]) -> list[Record]:
        """Every record of some of the dataset versions whose image has one of these SHA-256."""
        return self._select("content_sha256", contents, [md5 for md5 in datasets if md5 in self.usable])

    def others_than(self, ids: Iterable[str]) -> list[tuple[str, str, int]]:
        """Dataset version, subject and number of records of every subject that is not among `ids`."""
        import pyarrow as pa

        self._duckdb.register("kept", pa.table({"subject_id": pa.array(sorted(ids), pa.string())}))
        if not self.usable:
            return []
        question = (
            f"SELECT filename, subject_id, count(*) FROM {self._everything} ANTI JOIN kept USING (subject_id) "  # noqa: S608
            "GROUP BY ALL ORDER BY ALL"
        )
        return [(Path(str(file)).stem, str(subject), int(count)) for file, subject, count in self._ask(question)]

    def first_subject(self, md5: str) -> str:
        """A subject that is in this dataset version for certain: the first row, read without a query."""
        import pyarrow.parquet as pq

        batches = pq.ParquetFile(self._path(md5)).iter_batches(1, columns=["subject_id"], use_threads=False)
        return str(next(batches)["subject_id"][0].as_py())

    @cache  # noqa: B019  lives as long as one command
    def root(self, md5: str) -> str:
        """The root of the tree over the subjects, as the manifest states it, or for an erased one its tombstone."""
        import pyarrow.parquet as pq

        if erased := self._erasures.of_dataset(md5):
            return erased.root
        return str((pq.read_schema(self._path(md5)).metadata or {}).get(ROOT_KEY, b"").decode())

    def all_records(self, md5: str) -> list[Record]:
        """All rows of one dataset version."""
        question = f"SELECT filename, {COLUMNS} FROM {self._files([md5])} ORDER BY subject_id, record_id"  # noqa: S608
        return self._records(question)

    def _erased_records(self, ids: Sequence[str]) -> Iterator[Record]:
        for md5 in self.usable:
            erased = self._erasures.of_dataset(md5)
            for subject_id in ids if erased else ():
                if erased and erased.holds(subject_id):
                    yield Record(md5, subject_id, ERASED, ERASED, ERASED, ERASED)

    def _select(self, column: str, values: Sequence[str], datasets: Sequence[str]) -> list[Record]:
        if not datasets or not values:
            return []
        places = ", ".join("?" * len(values))
        chosen = f"WHERE {column} IN ({places}) ORDER BY ALL"
        question = f"SELECT filename, {COLUMNS} FROM {self._files(datasets)} {chosen}"  # noqa: S608  values are bound
        return self._records(question, values)

    def _records(self, question: str, values: Sequence[str] = ()) -> list[Record]:
        rows = (dict(zip(("file", *MANIFEST_SCHEMA.names), row, strict=True)) for row in self._ask(question, values))
        return [Record(dataset=Path(str(row.pop("file"))).stem, **row) for row in rows]

    def _ask(self, question: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        return list(self._duckdb.execute(question, list(values)).fetchall())

    @cached_property
    def _duckdb(self) -> DuckDBPyConnection:
        import duckdb

        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "temp_directory": self._scratch.name,
            "autoinstall_known_extensions": False,  # nothing is fetched
            "autoload_known_extensions": False,
        }
        return duckdb.connect(config=settings)

    @property
    def _everything(self) -> str:
        return self._files(self.usable)

    def _files(self, datasets: Sequence[str]) -> str:
        paths = ", ".join(f"'{self._path(md5)}'" for md5 in datasets)
        return f"read_parquet([{paths}], filename = true)"

    def _path(self, md5: str) -> Path:
        return Path(self._scratch.name) / f"{md5}.parquet"

    def _link(self, md5: str) -> str | None:
        """Puts the manifest where it is asked. Returns why it cannot be had with the right bytes, if it cannot."""
        try:
            self._path(md5).symlink_to(self._manifest(md5).resolve())
        except ProjectError as error:
            return str(error)
        return None

    def _manifest(self, md5: str) -> Path:
        listing, erased = self._objects.listing(md5), self._erasures.of_dataset(md5)
        if MANIFEST not in listing:
            raise LineageError(f"dataset {md5} has no {MANIFEST}")
        name = erased.redacted if erased else listing[MANIFEST]
        kept = self._kept / name
        for path in filter(None, (self._objects.cached(name), kept if kept.exists() else None)):
            if md5_of_file(path) == name:
                return path
        self._objects.fetch(name, kept)
        return kept

    def _compare_with_shards(self, md5: str) -> str | None:
        """What is wrong if the manifest does not hold exactly the rows that the shards hold; None if nothing is."""
        try:
            self._require_same_rows(md5)
        except ProjectError as error:
            return str(error)
        return None

    def _require_same_rows(self, md5: str) -> None:
        # where shards were erased, what is left of the manifest must have the subjects that it had, less the erased
        if erased := self._erasures.of_dataset(md5):
            subject_tree(self._objects, md5, erased)
            return
        compared = self._kept / f"{md5}.compared"
        if compared.exists():  # by hash: neither of them can have changed
            return
        shards = {name for path, name in self._objects.listing(md5).items() if path.startswith(f"{SHARDS}/")}
        rows = [self._fingerprint_of_shard(name) for name in sorted(shards)]
        ((count, total),) = self._ask(FINGERPRINT + self._files([md5]))
        if (count, total) != (sum(row[0] for row in rows), sum(row[1] for row in rows)):
            raise LineageError(f"the manifest of dataset {md5} does not hold what the shards hold (`lineage verify`)")
        compared.parent.mkdir(parents=True, exist_ok=True)
        compared.touch()

    def _fingerprint_of_shard(self, name: str) -> tuple[int, int]:
        if name not in self._fingerprints:
            import pyarrow.parquet as pq

            with self._objects.open(name) as file:  # of a remote one, only the columns are fetched
                shard = pq.ParquetFile(file).read(columns=MANIFEST_SCHEMA.names, use_threads=False)
            self._duckdb.register("shard", shard)
            ((count, total),) = self._ask(FINGERPRINT + "shard")
            self._fingerprints[name] = int(count), int(total or 0)
        return self._fingerprints[name]
