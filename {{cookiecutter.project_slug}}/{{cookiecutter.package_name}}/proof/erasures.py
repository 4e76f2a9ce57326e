"""Tombstones: what was erased on purpose, when and why. They are in Git, and name objects and hashes, never people.

erasures/<id>/tombstone.json   what was erased, and for each dataset version the Merkle root it had
erasures/<id>/manifests.dvc    the manifests without the rows of who was erased, kept by DVC
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from ..data.merkle import Tree, subject_key
from ..errors import DamageError
from .history import PERMANENT, History

FOLDER = "erasures"
TOMBSTONE = "tombstone.json"
MANIFESTS = "manifests"
SCHEMA = 1


@dataclass(frozen=True)
class ErasedDataset:
    """A dataset version some of whose subjects were erased. Their keys prove that the rest is as it was."""

    md5: str
    root: str
    salt: str
    keys: frozenset[str]  # salted hashes of the erased subjects' ids, hexadecimal
    redacted: str  # the object that is the manifest without them

    def holds(self, subject_id: str) -> bool:
        """Whether it is one of those that were erased."""
        return subject_key(self.salt, subject_id).hex() in self.keys

    def tree(self, subject_ids: Iterable[str]) -> Tree:
        """The tree of the subjects that are left and of those that were erased.

        Raises DamageError unless it has the root that the dataset version had before.
        """
        tree = Tree(self.salt, subject_ids, map(bytes.fromhex, self.keys))
        if tree.root != self.root:
            raise DamageError(f"the manifest that is left of dataset {self.md5} is not what it was, less the erased.")
        return tree


@dataclass(frozen=True)
class Erasure:
    """One erasure."""

    id: str
    moment: str
    reason: str
    objects: dict[str, str]  # path by MD5
    datasets: dict[str, ErasedDataset]

    @property
    def title(self) -> str:
        return f"erased at {self.moment}: {self.reason} ({FOLDER}/{self.id})"


class Erasures:
    """All erasures that a branch or tag has a tombstone of, oldest first."""

    def __init__(self, history: History) -> None:
        self._history = history

    @cached_property
    def all(self) -> list[Erasure]:
        pattern = f"{FOLDER}/*/{TOMBSTONE}"
        command = ("log", *PERMANENT, "HEAD", "--format=%H", "--diff-filter=A", "--name-only", "--relative", "--")
        found: dict[str, Erasure] = {}
        commit = ""
        for line in self._history.git.must(*command, pattern):
            if not line.endswith(TOMBSTONE):
                commit = line or commit
                continue
            erasure = _read(self._history.read(commit, line))
            found.setdefault(erasure.id, erasure)
        return sorted(found.values(), key=lambda erasure: erasure.moment)

    def of_object(self, md5: str) -> Erasure | None:
        """The erasure that took an object away; None if none did."""
        return next((erasure for erasure in self.all if md5 in erasure.objects), None)

    @cache  # noqa: B019  lives as long as one command
    def of_dataset(self, md5: str) -> ErasedDataset | None:
        """What is left of a dataset version, by the latest erasure; None if nobody was erased from it."""
        found = [erasure.datasets[md5] for erasure in self.all if md5 in erasure.datasets]
        if found and (registered := self._registered_root(md5)) not in (None, found[-1].root):
            raise DamageError(
                f"the tombstone of dataset {md5} names another Merkle root than lineage.json, {registered}."
            )
        return found[-1] if found else None

    def _registered_root(self, md5: str) -> str | None:
        """The root over the subjects that register wrote down, in any commit."""
        for commit in self._history.commits_holding(md5):
            dataset = (self._history.document(commit) or {}).get("dataset") or {}
            if dataset.get("md5") == md5:
                return str(dataset["subjects"]["root"])
        return None


def _read(data: bytes | None) -> Erasure:
    try:
        document: dict[str, Any] = json.loads(data or b"")
        datasets = {
            item["md5"]: ErasedDataset(
                item["md5"], item["root"], item["salt"], frozenset(item["keys"]), item["redacted"]
            )
            for item in document["datasets"]
        }
        objects = {item["md5"]: item["path"] for item in document["objects"]}
        return Erasure(document["id"], document["moment"], document["reason"], objects, datasets)
    except (ValueError, KeyError, TypeError) as error:
        raise DamageError(f"a {TOMBSTONE} in {FOLDER}/ cannot be read: {error!r}.") from None
