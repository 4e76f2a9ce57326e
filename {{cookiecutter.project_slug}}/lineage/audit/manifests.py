"""The manifests of dataset versions, each read once for all the models that rest on it, and asked with DuckDB.

A manifest is an object of DVC: it comes from the cache or the remote. Its hash is computed before it is first asked and
whenever its file has changed since (cache.py), the checksum of a page each time it is read. A manifest counts only if
it agrees with the shards, whose id columns are read beside it.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import LineageError, ProjectError
from ..proof.case import Evidence
from ..proof.dataset import subject_tree
from ..records.dataset import MANIFEST_SCHEMA
from ..records.layout import MANIFEST, ROOT_KEY, SHARDS
from ..records.merkle import root_of_dataset, subject_key
from .cache import AuditCache

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COLUMNS = ", ".join(MANIFEST_SCHEMA.names)
SUBJECT = "subject_id"
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
        self._kept = AuditCache(evidence.main / ".dvc" / "tmp" / "kept" / "audit", evidence.objects)
        self._scratch = tempfile.TemporaryDirectory()  # names without characters that are patterns to DuckDB
        self.faults: dict[str, str] = {}
        self._fingerprints: dict[str, tuple[int, int]] = {}  # by shard: versions have most of them in common
        wanted = list(datasets)
        _ = evidence.places.remote_or_none, evidence.erasures.all  # opened by one thread
        with ThreadPoolExecutor() as pool:
            faults = zip(wanted, pool.map(self._link, wanted), strict=True)
            self.faults = {md5: fault for md5, fault in faults if fault}
        for md5 in wanted:
            if md5 not in self.faults and (fault := self._compare_with_shards(md5)):
                self.faults[md5] = fault
        self.usable = [md5 for md5 in wanted if md5 not in self.faults]
        self._kept.save()

    def records_of(self, ids: Sequence[str]) -> list[Record]:
        """Every record of these subjects in any of the dataset versions; of erased ones, only that there were some."""
        return [*self._select("subject_id", ids, self.usable), *self._erased_records(ids)]

    def records_with(self, contents: Sequence[str], datasets: Sequence[str]) -> list[Record]:
        """Every record of some of the dataset versions whose image has one of these SHA-256."""
        return self._select("content_sha256", contents, datasets)

    def others_than(self, ids: Iterable[str]) -> list[tuple[str, str, int]]:
        """Dataset version, subject and number of records of every subject that is not among `ids`.

        Of those who were erased there are no records any more, and no name: the salted hash of the id stands for it.
        """
        import pyarrow as pa

        self._duckdb.register("listed", pa.table({"subject_id": pa.array(sorted(ids), pa.string())}))
        question = (
            "SELECT subject_id, count(*) FROM manifest ANTI JOIN listed USING (subject_id) GROUP BY ALL ORDER BY ALL"
        )
        found = {md5: self._ask(md5, question, lambda file: file.read(["subject_id"])) for md5 in list(self.usable)}
        left = [(md5, str(subject), int(count)) for md5, rows in found.items() for subject, count in rows]
        return [*left, *((md5, key, 0) for md5 in self.usable for key in self._erased_others(md5, ids))]

    def _erased_others(self, md5: str, ids: Iterable[str]) -> list[str]:
        """The keys of the erased subjects of a dataset version that are not among `ids`."""
        erased = self._erasures.of_dataset(md5)
        return (
            sorted(erased.keys - {subject_key(erased.salt, subject_id).hex() for subject_id in ids}) if erased else []
        )

    def first_subject(self, md5: str) -> str | None:
        """A subject that is in this dataset version for certain: the first row, read without a query.

        None if there is no row any more, because all were erased.
        """
        rows = self._read(md5, lambda file: next(file.iter_batches(1, columns=["subject_id"]), []))
        return str(rows["subject_id"][0].as_py()) if rows else None

    @cache  # noqa: B019  lives as long as one command
    def root(self, md5: str) -> str:
        """The root over the subjects by what the manifest states, or for an erased one its tombstone."""
        import pyarrow.parquet as pq

        if erased := self._erasures.of_dataset(md5):
            return erased.root
        return root_of_dataset(md5, (pq.read_schema(self._path(md5)).metadata or {}).get(ROOT_KEY, b"").decode())

    @cache  # noqa: B019
    def seen_by_training(self, md5: str) -> tuple[int, int] | None:
        """A short form of what is not in the test split. None if the manifest cannot be relied on."""
        if md5 not in self.usable:
            return None
        # not compared with the column itself: the file's own word for which rows it has is not asked
        rows = f"(SELECT * FROM read_parquet('{self._path(md5)}') WHERE split || '' <> 'test')"  # noqa: S608  a path of ours
        return self._fingerprint(rows)

    def all_records(self, md5: str) -> list[Record]:
        """All rows of one dataset version."""
        return self._records(md5, "", [], lambda file: file.read())

    def _erased_records(self, ids: Sequence[str]) -> Iterator[Record]:
        for md5 in self.usable:
            erased = self._erasures.of_dataset(md5)
            for subject_id in ids if erased else ():
                if erased and erased.holds(subject_id):
                    yield Record(md5, subject_id, ERASED, ERASED, ERASED, ERASED)

    def _select(self, column: str, values: Sequence[str], datasets: Sequence[str]) -> list[Record]:
        condition = f"WHERE {column} IN ({', '.join('?' * len(values))})"
        asked = [md5 for md5 in datasets if md5 in self.usable] if values else []
        found = (self._records(md5, condition, values, lambda file: _groups(file, column, values)) for md5 in asked)
        return [record for records in found for record in records]

    def _records(self, md5: str, condition: str, values: Sequence[str], read: Callable[[Any], Any]) -> list[Record]:
        question = f"SELECT {COLUMNS} FROM manifest {condition} ORDER BY subject_id, record_id"  # noqa: S608  values are bound
        rows = self._ask(md5, question, read, values)
        return [Record(md5, **dict(zip(MANIFEST_SCHEMA.names, row, strict=True))) for row in rows]

    def _ask(
        self, md5: str, question: str, read: Callable[[Any], Any], values: Sequence[str] = ()
    ) -> list[tuple[Any, ...]]:
        """Asks what `read` takes from one manifest."""
        rows = self._read(md5, read)
        if rows is None:
            return []
        self._duckdb.register("manifest", rows)
        return list(self._duckdb.execute(question, list(values)).fetchall())

    def _read(self, md5: str, read: Callable[[Any], Any]) -> Any:
        """What `read` takes from a manifest, each page of it checked; None if that cannot be read, which is a fault."""
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self._path(md5), page_checksum_verification=True) as file:
                return read(file)
        except OSError as error:
            self.faults[md5] = f"the manifest of dataset {md5} cannot be read: {error}"
            self.usable.remove(md5)
            return None

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
        return self._kept.file(erased.redacted if erased else listing[MANIFEST])

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
            self._require_true_statistics(md5)
            return
        if self._kept.agrees_with_shards(md5):
            return
        shards = {name for path, name in self._objects.listing(md5).items() if path.startswith(f"{SHARDS}/")}
        rows = [self._fingerprint_of_shard(name) for name in sorted(shards)]
        together = (sum(count for count, _ in rows), sum(total for _, total in rows))
        if self._fingerprint(f"read_parquet('{self._path(md5)}')") != together:
            raise LineageError(f"the manifest of dataset {md5} does not hold what the shards hold (`lineage verify`)")
        self._require_true_statistics(md5)
        self._kept.note_agreement(md5)

    def _require_true_statistics(self, md5: str) -> None:
        """Raises LineageError if rows would be passed over because the file says that they are not there."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._path(md5)) as file:
            for number in range(file.num_row_groups):
                span = _span(file, number)
                if span is None:
                    continue
                held: dict[str, Any] = pc.min_max(file.read_row_group(number, [SUBJECT])[SUBJECT]).as_py() or {}
                if held.get("min") is not None and not span[0] <= held["min"] <= held["max"] <= span[1]:
                    raise LineageError(f"the statistics in the manifest of dataset {md5} are not those of its rows")

    def _fingerprint_of_shard(self, name: str) -> tuple[int, int]:
        if name not in self._fingerprints:
            import pyarrow.parquet as pq

            with self._objects.open(name) as file:  # of a remote one, only the columns are fetched
                shard = pq.ParquetFile(file).read(columns=MANIFEST_SCHEMA.names, use_threads=False)
            self._duckdb.register("shard", shard)
            self._fingerprints[name] = self._fingerprint("shard")
        return self._fingerprints[name]

    def _fingerprint(self, table: str) -> tuple[int, int]:
        """Of all rows together, in whatever order: their number, and the sum of their hashes."""
        question = f"SELECT count(*), sum(hash({COLUMNS})) FROM {table}"  # noqa: S608  columns of the schema
        ((count, total),) = self._duckdb.execute(question).fetchall()
        return int(count), int(total or 0)


def _groups(file: Any, column: str, values: Sequence[str]) -> Any:
    """The row groups of a manifest in which a column has any of the values, as a table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ordered = sorted(values)
    wanted, found = pa.array(ordered, pa.string()), []
    for number in range(file.num_row_groups):
        span = _span(file, number) if column == SUBJECT else None  # only these were found to be true
        if span and not _any_between(ordered, *span):
            continue
        if pc.any(pc.is_in(file.read_row_group(number, [column])[column], wanted)).as_py():
            found.append(number)
    return file.read_row_groups(found)


def _span(file: Any, number: int) -> tuple[str, str] | None:
    """The least and the greatest subject of a row group, as the file states them; None if it does not."""
    place = file.schema_arrow.names.index(SUBJECT)
    span = file.metadata.row_group(number).column(place).statistics
    return (span.min, span.max) if span is not None and span.has_min_max else None


def _any_between(ordered: Sequence[str], least: str, greatest: str) -> bool:
    first = bisect_left(ordered, least)
    return first < len(ordered) and ordered[first] <= greatest
