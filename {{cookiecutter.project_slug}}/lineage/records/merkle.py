"""A Merkle tree over the subjects of a dataset version: proofs of who is in it, and who is not, in a few kB.

The leaves are salted SHA-256 hashes of the subjects' ids, sorted. Tree and audit paths are those of RFC 6962
(Certificate Transparency), section 2.1. The root covers the salt as well, so that a leaf has one meaning, and the
number of leaves, so that a path proves a position. Two leaves at neighbouring positions prove that nothing lies between
them.

The manifest states the root, and its bytes decide the hash of the dataset version. So the root cannot cover that hash.
What is registered, and what certificates prove under, is `root_of_dataset`: it covers both.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SIZE = 32  # bytes of a hash


def subject_key(salt: str, subject_id: str) -> bytes:
    """What stands for a subject in the tree: 32 bytes that depend on `salt` and the id alone."""
    return hashlib.sha256(f"{len(salt)}:{salt}{subject_id}".encode()).digest()


def root_of_tree(salt: str, count: int, top: bytes) -> str:
    """The root that a manifest states: over the salt, the number of leaves, and the hash `top` of all leaves."""
    text = salt.encode()
    return hashlib.sha256(b"\x02" + count.to_bytes(8, "big") + len(text).to_bytes(8, "big") + text + top).hexdigest()


def root_of_dataset(md5: str, root: str) -> str:
    """The root that is registered for the dataset version of the hash `md5`, from the root that its manifest states."""
    return hashlib.sha256(b"\x03" + f"{md5}\n{root}".encode()).hexdigest()


@dataclass(frozen=True)
class Step:
    """One leaf and the way from it to the root."""

    position: int
    key: str  # hexadecimal
    path: list[str]  # hashes of the siblings, hexadecimal, from the leaf upwards


class Tree:
    """The tree over the subjects of one dataset version; of some of them, only the keys may be known."""

    def __init__(self, salt: str, subject_ids: Iterable[str], keys: Iterable[bytes] = ()) -> None:
        self.salt = salt
        found = {*(subject_key(salt, subject) for subject in subject_ids), *keys}
        self._keys = b"".join(sorted(found))  # like the levels in one piece: a million objects are three times as large
        self._levels = _levels(b"".join(map(_leaf, _hashes(self._keys))))

    @property
    def root(self) -> str:
        """Hexadecimal; covers the salt, the number of leaves, and all of them. The manifest states it."""
        return root_of_tree(self.salt, len(self), self._levels[-1] or hashlib.sha256().digest())

    def root_in(self, md5: str) -> str:
        """The root that is registered, if this is the tree of the dataset version of the hash `md5`."""
        return root_of_dataset(md5, self.root)

    def __len__(self) -> int:
        return len(self._keys) // SIZE

    def prove(self, subject_id: str) -> list[Step]:
        """The subject's own leaf if it is in the tree, else the leaves between which it would be: two, one, or none."""
        key = subject_key(self.salt, subject_id)
        position = bisect_left(range(len(self)), key, key=lambda place: _hash_at(self._keys, place))
        if position < len(self) and _hash_at(self._keys, position) == key:
            return [self._step(position)]
        return [self._step(near) for near in (position - 1, position) if 0 <= near < len(self)]

    def _step(self, position: int) -> Step:
        path, place = [], position
        for level in self._levels[:-1]:
            sibling = _hash_at(level, place ^ 1)
            if sibling:
                path.append(sibling.hex())
            place //= 2
        return Step(position, _hash_at(self._keys, position).hex(), path)


def _hash_at(hashes: bytes, place: int) -> bytes:
    """One of hashes that follow each other; empty behind their end."""
    return hashes[place * SIZE : place * SIZE + SIZE]


def _hashes(hashes: bytes) -> Iterator[bytes]:
    return (hashes[start : start + SIZE] for start in range(0, len(hashes), SIZE))


def _leaf(key: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + key).digest()


def _levels(leaves: bytes) -> list[bytes]:
    """All nodes, from the leaves up. A node without a sibling goes up as it is, which gives the tree of RFC 6962."""
    levels = [leaves]
    while len(levels[-1]) > SIZE:
        below, above = levels[-1], bytearray()
        for start in range(0, len(below) - SIZE, 2 * SIZE):
            above += hashlib.sha256(b"\x01" + below[start : start + 2 * SIZE]).digest()
        levels.append(bytes(above) + below[len(below) - len(below) % (2 * SIZE) :])
    return levels
