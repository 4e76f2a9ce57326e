"""What one tombstone says: who was erased, by salted hashes, from which dataset versions, and what was deleted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ..base.errors import DamageError
from ..base.printable import printable
from ..records.merkle import Tree, subject_key
from .tombstones import parse

FOLDER = "erasures"


@dataclass(frozen=True)
class ErasedDataset:
    """A dataset version some of whose subjects were erased. Their keys prove that the rest is as it was."""

    md5: str
    root: str  # as it is registered
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
        if tree.root_in(self.md5) != self.root:
            raise DamageError(f"the manifest that is left of dataset {self.md5} is not what it was, less the erased.")
        return tree


@dataclass(frozen=True, eq=False)  # each is itself: look-ups are kept by it
class Erasure:
    """One erasure."""

    id: str
    commit: str  # that brought the tombstone
    moment: datetime
    reason: str
    objects: dict[str, str]  # path by MD5
    not_found: dict[str, str]  # what it could not delete, because nobody knew where it was
    datasets: dict[str, ErasedDataset]

    @property
    def title(self) -> str:
        return f"erased at {self.moment.isoformat()}: {printable(self.reason)} ({FOLDER}/{self.id})"


def read_erasure(commit: str, committed: int, data: bytes, folder: str) -> Erasure:
    """The erasure of a tombstone that `commit` brought. Raises DamageError if it is none."""
    document = parse(data, folder)
    datasets = {
        item.md5: ErasedDataset(item.md5, item.root, item.salt, frozenset(item.keys), item.redacted)
        for item in document.datasets
    }
    # it says until when copies may be missing: not later than it was committed
    moment = min(document.moment.astimezone(UTC), datetime.fromtimestamp(committed, UTC))
    objects, not_found = ({item.md5: item.path for item in named} for named in (document.objects, document.not_found))
    return Erasure(document.id, commit, moment, document.reason, objects, not_found, datasets)
