"""Which missing objects a tombstone explains: those that an erasure deletes, as far as it can be shown that they held
somebody who was erased.

Shown by the Merkle root that was registered before: the salted hashes in the tombstone must complete what is left of
the manifest to just that root. Each subject lies in one shard, so that there are never more shards gone than subjects.
Weights, consent snapshots, scores and listings no erasure deletes: no tombstone explains why one of them is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from ..base.errors import DamageError, LineageError
from ..contract import Role
from ..dvc.objects import Objects
from ..git.history import History
from ..records.layout import MANIFEST, SHARDS
from ..records.raw import RECORDS
from .erased import Erasure

JOBS = 16


class Excuses:
    """What each erasure explains. Raises LineageError where something that would show it cannot be had."""

    def __init__(
        self,
        erasures: Callable[[], list[Erasure]],
        known_roots: Callable[[str], frozenset[str]],
        history: History,
        objects: Objects,
    ) -> None:
        """`erasures` are all of them, oldest first; `known_roots` those that were recorded for a dataset version."""
        self._erasures = erasures
        self._known_roots = known_roots
        self._history = history
        self._objects = objects

    @cache  # noqa: B019  lives as long as one command
    def explained(self, erasure: Erasure) -> frozenset[str]:
        """The objects that the tombstone names and explains, by hash."""
        proved = [md5 for md5 in erasure.datasets if self.held_erased(erasure, md5)]
        of_data = {file for md5 in proved for file in self._of_dataset(erasure, md5)}
        others = [each for each in self._erasures() if each is not erasure]
        left = {each.datasets[md5].redacted for each in others for md5 in proved if md5 in each.datasets}
        found = (of_data - self._of_strangers(erasure)) | self._of_raw(erasure, proved) | left
        return frozenset((found & erasure.objects.keys()) - self._outputs)

    @cache  # noqa: B019
    def held_erased(self, erasure: Erasure, md5: str) -> bool:
        """Whether it is shown that the dataset version held those whose salted hashes the tombstone has.

        What was left of the manifest may have been erased in its turn; then a later tombstone shows it.
        """
        stated, faults = erasure.datasets[md5], list[LineageError]()
        if self._known_roots(md5) != {stated.root}:
            return False
        for other in reversed(self._erasures()):
            later = other.datasets.get(md5)
            if later is None or (later.root, later.salt) != (stated.root, stated.salt) or not stated.keys <= later.keys:
                continue
            try:
                left = self._subjects(later.redacted)
                later.tree(left)
            except DamageError:
                continue
            except LineageError as error:
                faults.append(error)
                continue
            if not any(later.holds(subject_id) for subject_id in left):  # who is left was not erased
                return True
        if faults:
            raise faults[0]
        return False

    def _subjects(self, redacted: str) -> set[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        data = self._objects.read(redacted)
        try:
            column = pq.read_table(pa.BufferReader(data), columns=["subject_id"])["subject_id"]
        except (pa.ArrowException, OSError, KeyError) as error:
            raise DamageError(f"what is left of a manifest, {redacted}, cannot be read: {error!r}") from None
        return set(column.unique().to_pylist())

    def _of_dataset(self, erasure: Erasure, md5: str) -> set[str]:
        """Its manifest, and the shards that the tombstone names, as far as these held somebody who was erased.

        One that can still be read somewhere must hold them. Of the others there must be no more than there are erased
        subjects who are in no shard that can be read.
        """
        listing, stated = self._objects.listing(md5), erasure.datasets[md5]
        shards = {file for path, file in listing.items() if path.startswith(f"{SHARDS}/")}
        subjects = self._subjects_of(frozenset(shards))
        holding = {file: {subject for subject in found if stated.holds(subject)} for file, found in subjects.items()}
        accounted = set[str]().union(*holding.values())
        earlier = (each for each in self._erasures() if md5 in each.datasets)
        same = [each for each in earlier if each.datasets[md5].keys <= stated.keys]
        lost = {file for each in same for file in each.objects if file in shards} - subjects.keys()
        explained = {file for file, found in holding.items() if found}
        if len(lost) <= len(stated.keys) - len(accounted):
            explained |= lost
        return explained | {file for path, file in listing.items() if path == MANIFEST}

    @cache  # noqa: B019
    def _subjects_of(self, shards: frozenset[str]) -> dict[str, set[str]]:
        """The subjects in each of some shards, of those that can be read."""
        there = {md5 for md5 in shards if self._objects.cached(md5) is not None}
        there |= {md5 for md5, held in self._objects.held(shards - there).items() if held.size is not None}
        with ThreadPoolExecutor(JOBS) as pool:
            return dict(zip(there, pool.map(self._subjects_in, there), strict=True))

    def _subjects_in(self, md5: str) -> set[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._objects.open(md5) as file:
            try:
                return set(pq.read_table(file, columns=["subject_id"])["subject_id"].unique().to_pylist())
            except (pa.ArrowException, OSError, KeyError):
                return set()  # damaged: other links say so

    def _of_strangers(self, erasure: Erasure) -> set[str]:
        """The files of dataset versions before it from which nobody was ever erased, so that they held none of them."""
        erased = {md5 for each in self._erasures() for md5 in each.datasets}
        before = set(self._history.git.must("rev-list", erasure.commit))
        commits = {state.commit for state in self._history.states} & before
        made = {md5 for commit in commits for md5 in self._history.datasets_made(self._history.at(commit).lock)}
        return {file for md5 in made - erased for file in self._listing(md5).values()}

    def _of_raw(self, erasure: Erasure, datasets: list[str]) -> set[str]:
        """The files of the raw data that these dataset versions were made from. The records of the erased were there.

        Of further files only tombstones say that they held them. There must not be more of these than were erased.
        """
        explained = set[str]()
        for raw in self._raw_of(frozenset(datasets)):
            records, further = self._raw_files(raw)
            named, keys = set[str](), set[str]()
            for each in self._erasures():
                made = [md5 for md5 in each.datasets if raw in self._raw_of(frozenset([md5]))]
                if any(self.held_erased(each, md5) for md5 in made):
                    named |= further & each.objects.keys()
                    keys |= {key for md5 in made for key in each.datasets[md5].keys}
            explained |= records | (further if len(named) <= len(keys) else set())
        return explained

    @cache  # noqa: B019
    def _raw_of(self, datasets: frozenset[str]) -> frozenset[str]:
        """The raw data that dataset versions were made from, as dvc.lock of some commit says."""
        commits = {state.commit for state in self._history.states}
        raws = (self._history.at(commit).recorded.raw_of(md5) for commit in commits for md5 in datasets)
        return frozenset(md5 for md5 in raws if md5)

    def _raw_files(self, md5: str) -> tuple[set[str], set[str]]:
        """The table of the records, and the files beside it."""
        listing = self._listing(md5)
        records = {file for path, file in listing.items() if path == RECORDS}
        return records, set(listing.values()) - records

    @property
    def _outputs(self) -> set[str]:
        """What dvc.lock of any commit names as a single file: the weights, the snapshot, scores."""
        found, raw = set(), self._history.roles.paths(Role.RAW)
        for commit in {state.commit for state in self._history.states}:
            for stage in self._history.at(commit).lock.values():
                items = [*(stage.get("outs") or []), *(stage.get("deps") or [])]
                found |= {item["md5"] for item in items if item.get("md5") and item["path"] not in raw}
        return found

    def _listing(self, md5: str) -> dict[str, str]:
        """The files of a folder by path, none if they cannot be had; raw data may be the table alone."""
        if not md5.endswith(".dir"):
            return {RECORDS: md5}
        try:
            return self._objects.listing(md5)
        except LineageError:
            return {}
