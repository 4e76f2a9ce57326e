"""Tombstones: what was erased on purpose, when and why. They are in Git, and name objects and hashes, never people.

erasures/<id>/tombstone.json   what was erased, and for each dataset version the Merkle root it had
erasures/<id>/manifests.dvc    the manifests without the rows of who was erased, kept by DVC

A subject may consent again: then the pipeline recreates exactly the same bytes, under the same names. A tombstone
excuses what is missing only until a later commit, or the dvc.lock that lies here, rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import DamageError, LineageError
from ..contract import Role
from ..dvc.dvcfile import Lock, locked_hash, read_lock
from ..dvc.objects import Objects
from ..git.history import History
from ..git.states import PERMANENT
from ..git.times import moment_of_commit
from ..records.layout import MANIFEST, SHARDS
from .erased import FOLDER, ErasedDataset, Erasure, read_erasure
from .excuses import Excuses
from .tombstones import LIMIT

if TYPE_CHECKING:
    from mlflow.entities import Run

TOMBSTONE = "tombstone.json"
MANIFESTS = "manifests"


class Erasures:
    """All erasures that a branch or tag has a tombstone of, oldest first. `refused`: what is no tombstone."""

    def __init__(self, root: Path, history: History, objects: Objects, logged_roots: Callable[[str], set[str]]) -> None:
        """`logged_roots` are those that runs have logged for a dataset version."""
        self._root = root
        self._history = history
        self._objects = objects
        self._logged_roots = logged_roots
        self._excuses = Excuses(lambda: self.all, self.known_roots, history, objects)
        self.refused: list[str] = []

    @cached_property
    def all(self) -> list[Erasure]:
        pattern = f"{FOLDER}/*/{TOMBSTONE}"
        command = ("log", *PERMANENT, "HEAD", "--format=%H %ct", "--diff-filter=A", "--name-only", "--relative", "--")
        found: dict[str, Erasure] = {}
        contents: dict[str, bytes] = {}
        commit = when = ""
        for line in self._history.git.must(*command, pattern):
            if not line.endswith(TOMBSTONE):
                commit, _, when = line.partition(" ") if line else (commit, "", when)
                continue
            folder = line.split("/")[-2]
            try:
                data = self._content(commit, line)
                if contents.setdefault(folder, data) != data:
                    found.pop(folder, None)
                    raise DamageError("two commits brought it with different contents")
                found.setdefault(folder, read_erasure(commit, moment_of_commit(when), data, folder))
            except DamageError as error:
                self.refused.append(f"{FOLDER}/{folder}/{TOMBSTONE} explains nothing: {error}")
        return sorted(found.values(), key=lambda erasure: (erasure.moment, erasure.id))

    def _content(self, commit: str, path: str) -> bytes:
        size = self._history.git.run("cat-file", "-s", f"{commit}:{self._history.prefix}{path}")
        if not size or int(size) > LIMIT:
            raise DamageError(f"it is larger than {LIMIT} bytes" if size else "Git does not have it")
        return self._history.at(commit).read(path) or b""

    def of_object(self, md5: str) -> Erasure | None:
        """The erasure that took an object away for good; None if none did, or what came after it rests on the object.

        Raises LineageError if it is unknown what that rests on, or whether the object held anybody erased.
        """
        named = (erasure for erasure in self.all if md5 in erasure.objects and md5 not in self.used_again(erasure))
        return next((erasure for erasure in named if md5 in self._excuses.explained(erasure)), None)

    def stated(self, md5: str) -> Erasure | None:
        """The erasure that says that it took an object away for good, whether or not that can be shown."""
        named = (erasure for erasure in self.all if md5 in erasure.objects)
        return next((erasure for erasure in named if md5 not in self.used_again(erasure)), None)

    def named(self, md5: str) -> Erasure | None:
        """The latest erasure that ever took an object away, whatever came after it."""
        return next((erasure for erasure in reversed(self.all) if md5 in erasure.objects), None)

    @cache  # noqa: B019  lives as long as one command
    def used_again(self, erasure: Erasure) -> dict[str, str]:
        """The objects of an erasure that something after it rests on, each with what that is, in words."""
        before, found = self._raw(self._history.at(erasure.commit).lock), dict[str, str]()
        for what, commit, lock in self._later(erasure):
            datasets = self._history.datasets_made(lock)
            files = erasure.objects.keys() & {each for md5 in datasets for each in self._files(commit, "dataset", md5)}
            files |= erasure.objects.keys() & self._history.predictions_about(lock, datasets)
            # raw data stay in dvc.lock when they are erased: another hash or a dataset shows that they were made since
            if files or self._raw(lock) != before:
                raws = self._raw(lock)
                files |= erasure.objects.keys() & {each for md5 in raws for each in self._files(commit, "raw", md5)}
            found = dict.fromkeys(files, what) | found
        return found

    def _later(self, erasure: Erasure) -> Iterator[tuple[str, str, Lock]]:
        """What was recorded since: by commits on branches and tags that hold the tombstone, and by dvc.lock here."""
        later = set(self._history.git.must("rev-list", *PERMANENT, "HEAD", "--ancestry-path", f"^{erasure.commit}"))
        for commit in dict.fromkeys(state.commit for state in self._history.states):
            if commit in later:
                yield f"dvc.lock of {commit[:12]}", commit, self._history.at(commit).lock
        if (head := self._history.resolve("HEAD")) and head in {erasure.commit, *later}:
            yield "dvc.lock here", head, read_lock(self._root)

    def _raw(self, lock: Lock) -> frozenset[str]:
        """The raw data that dataset versions were made from."""
        paths = self._history.roles.paths(Role.RAW)
        found = (locked_hash(entry, "deps", path) for entry in lock.values() for path in paths)
        return frozenset(md5 for md5 in found if md5)

    def _files(self, commit: str, section: str, md5: str) -> set[str]:
        """The objects of a dataset version or of raw data of a commit, by its listing or else its lineage.json."""
        if not md5.endswith(".dir"):
            return {md5}
        try:
            return set(self._objects.listing(md5).values())
        except LineageError:
            stated = (self._history.at(commit).document or {}).get(section) or {}
            if stated.get("md5") != md5:
                raise
            return {file["md5"] for file in stated["files"]}

    def of_logged(self, run: Run) -> Erasure | None:
        """The erasure that deleted the manifest a run had logged; None for a run that was started after it."""
        md5, started = run.data.tags.get("dvc_data_md5"), (run.info.start_time or 0) // 1000
        named = (each for each in self.all if md5 in each.datasets and started <= each.moment.timestamp())
        return next((each for each in named if self._excuses.held_erased(each, md5)), None)

    def of_erased_dataset(self, md5: str, erasure: Erasure) -> bool:
        """Whether a dataset version is one from which the erasure took somebody."""
        return md5 in erasure.datasets and self._excuses.held_erased(erasure, md5)

    @cache  # noqa: B019
    def of_dataset(self, md5: str) -> ErasedDataset | None:
        """What is left of a dataset version, by the latest erasure; None if nobody was erased from it, or it is whole.

        It is whole where all of its manifest and shards can be had, because they were made again or not yet deleted.
        """
        left = self._left_of(md5)
        return None if left is not None and self._is_whole(md5) else left

    def _is_whole(self, md5: str) -> bool:
        with suppress(LineageError):  # the remote cannot be asked: the tombstone can
            listing = self._objects.listing(md5)
            files = {file for path, file in listing.items() if path == MANIFEST or path.startswith(f"{SHARDS}/")}
            elsewhere = [file for file in files if self._objects.cached(file) is None]
            return all(held.size is not None for held in self._objects.held(elsewhere).values())
        return False

    def _left_of(self, md5: str) -> ErasedDataset | None:
        found = [erasure.datasets[md5] for erasure in self.all if md5 in erasure.datasets]
        if not found:
            return None
        roots, known = {each.root for each in found}, self.known_roots(md5)
        if len(known) > 1:
            raise DamageError(f"lineage.json of several commits name {len(known)} Merkle roots of dataset {md5}.")
        if not known:
            raise DamageError(f"nothing but its tombstone says which Merkle root dataset {md5} had.")
        if roots != known:
            raise DamageError(
                f"the tombstone of dataset {md5} names another Merkle root than was recorded, {next(iter(known))}."
            )
        return found[-1]

    @cache  # noqa: B019
    def known_roots(self, md5: str) -> frozenset[str]:
        """The roots over the subjects that register wrote down, in any commit; else those that runs have logged.

        One dataset version has one root: of several, nobody can tell which is true.
        """
        return frozenset(self._history.subject_roots(md5) or self._logged_roots(md5))
