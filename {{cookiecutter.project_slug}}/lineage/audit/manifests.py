"""The manifests of dataset versions, each read once for all the models that rest on it, and asked with DuckDB.

A manifest is an object of DVC: it comes from the cache or the remote. Its hash is computed before it is first asked and
whenever its file has changed since (cache.py), the checksum of a page each time it is read. A manifest counts only if
it agrees with the shards, whose id columns are read beside it. Of one that was asked before, subjects are looked up in
the index (index.py).
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.errors import LineageError, ProjectError
from ..proof.case import Evidence
from ..proof.dataset import subject_tree
from ..records.dataset import MANIFEST_SCHEMA
from ..records.layout import MANIFEST, ROOT_KEY
from ..records.merkle import root_of_dataset, subject_key
from .cache import AuditCache
from .fingerprints import COLUMNS, Fingerprints
from .index_file import DamagedIndexError
from .row_groups import SUBJECT, groups_with, require_true_statistics

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ERASED = "erased"  # in the place of what was
MEMORY = "600MB"  # for DuckDB; what does not fit goes to disk


class Record(NamedTuple):
    """A record of a subject in one dataset version."""

    dataset: str  # as DVC names it
    subject_id: str
    record_id: str
    split: str
    label: str
    content_sha256: str  # of the image or row


class Manifests:
    """The manifests of several dataset versions. `faults` says which of them cannot be relied on, and why."""

    def __init__(self, evidence: Evidence, datasets: Iterable[str]) -> None:
        self._evidence = evidence
        self._objects = evidence.objects
        self._erasures = evidence.erasures
        self._kept = AuditCache(evidence.main / ".dvc" / "tmp" / "kept" / "audit", evidence.objects)
        self.faults: dict[str, str] = {}
        wanted = list(datasets)
        self._erased = {md5 for erasure in evidence.erasures.all for md5 in erasure.datasets}
        self._known = self._kept.index.unchanged(md5 for md5 in wanted if md5 not in self._erased)
        if others := [md5 for md5 in wanted if md5 not in self._known]:
            self._check(others)
            whole = [md5 for md5 in others if md5 not in self.faults and md5 not in self._erased]
            manifests = {md5: self._objects.listing(md5)[MANIFEST] for md5 in whole}
            self._kept.add_to_index(manifests, wanted, self._erased)
            self._known |= self._kept.index.unchanged(whole)
            self._kept.save()
        self.usable = [md5 for md5 in wanted if md5 not in self.faults]

    def _check(self, datasets: list[str]) -> None:
        """Finds what is wrong with the manifests of some dataset versions."""
        _ = self._evidence.places.remote_or_none  # opened by one thread
        with ThreadPoolExecutor() as pool:
            faults = zip(datasets, pool.map(self._link, datasets), strict=True)
            self.faults |= {md5: fault for md5, fault in faults if fault}
        for md5 in datasets:
            if md5 not in self.faults and (fault := self._compare_with_shards(md5)):
                self.faults[md5] = fault

    def records_of(self, ids: Sequence[str]) -> list[Record]:
        """Every record of these subjects in any of the dataset versions; of erased ones, only that there were some."""
        found = self._looked_up(ids)
        for record in self._select(SUBJECT, ids, [md5 for md5 in self.usable if md5 not in found]):
            found[record.dataset].append(record)
        return [*(record for md5 in self.usable for record in found[md5]), *self._erased_records(ids)]

    def _looked_up(self, ids: Sequence[str]) -> defaultdict[str, list[Record]]:
        """The records of these subjects in each dataset version of the index; nothing if the index was damaged."""
        found = defaultdict[str, list[Record]](list)
        try:
            rows = self._kept.index.rows_of(ids) if self._known else {}
        except DamagedIndexError:
            self._kept.index.forget()
            return found
        for md5 in self._known:  # thousands of records: made as `_make` makes them, in half of the time
            found[md5] = [tuple.__new__(Record, (md5, *row)) for row in rows.get(md5, ())]
        return found

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
        if known := self._known.get(md5):
            return known.first
        rows = self._read(md5, lambda file: next(file.iter_batches(1, columns=["subject_id"]), []))
        return str(rows["subject_id"][0].as_py()) if rows else None

    @cache  # noqa: B019  lives as long as one command
    def root(self, md5: str) -> str:
        """The root over the subjects by what the manifest states, or for an erased one its tombstone."""
        if known := self._known.get(md5):
            return root_of_dataset(md5, known.root)
        if erased := self._erasures.of_dataset(md5):
            return erased.root
        import pyarrow.parquet as pq

        return root_of_dataset(md5, (pq.read_schema(self._path(md5)).metadata or {}).get(ROOT_KEY, b"").decode())

    @cache  # noqa: B019
    def seen_by_training(self, md5: str) -> tuple[int, int] | None:
        """A short form of what is not in the test split. None if the manifest cannot be relied on."""
        if md5 not in self.usable:
            return None
        # not compared with the column itself: the file's own word for which rows it has is not asked
        rows = f"(SELECT * FROM read_parquet('{self._path(md5)}') WHERE split || '' <> 'test')"  # noqa: S608  a path of ours
        return self._fingerprints.of(rows)

    def all_records(self, md5: str) -> list[Record]:
        """All rows of one dataset version."""
        return self._records(md5, "", [], lambda file: file.read())

    def _erased_records(self, ids: Sequence[str]) -> Iterator[Record]:
        for md5 in (each for each in self.usable if each in self._erased):
            erased = self._erasures.of_dataset(md5)
            for subject_id in ids if erased else ():
                if erased and erased.holds(subject_id):
                    yield Record(md5, subject_id, ERASED, ERASED, ERASED, ERASED)

    def _select(self, column: str, values: Sequence[str], datasets: Sequence[str]) -> list[Record]:
        condition = f"WHERE {column} IN ({', '.join('?' * len(values))})"
        asked = [md5 for md5 in datasets if md5 in self.usable] if values else []
        found = (self._records(md5, condition, values, lambda file: groups_with(file, column, values)) for md5 in asked)
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
            "temp_directory": str(self._scratch),
            "autoinstall_known_extensions": False,  # nothing is fetched
            "autoload_known_extensions": False,
        }
        return duckdb.connect(config=settings)

    @cached_property
    def _fingerprints(self) -> Fingerprints:
        return Fingerprints(self._objects, self._duckdb)

    @cached_property
    def _scratch(self) -> Path:
        """A folder whose path has no characters that are patterns to DuckDB. It goes when this does."""
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def _path(self, md5: str) -> Path:
        path = self._scratch / f"{md5}.parquet"
        if md5 in self._known and not path.is_symlink():
            path.symlink_to(self._kept.index.path(self._known[md5]))
        return path

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
            require_true_statistics(self._path(md5), md5)
            return
        if self._kept.agrees_with_shards(md5):
            return
        if self._fingerprints.of(f"read_parquet('{self._path(md5)}')") != self._fingerprints.of_shards(md5):
            raise LineageError(f"the manifest of dataset {md5} does not hold what the shards hold (`lineage verify`)")
        require_true_statistics(self._path(md5), md5)
        self._kept.note_agreement(md5)
