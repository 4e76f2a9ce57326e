"""A log as a Merkle tree: its head, and proofs that a longer log begins with a shorter one. RFC 6962, section 2.1.

The tree grows by leaves at its end. A head is the number of leaves and the root over them: whoever kept one can ask
later whether what they saw is still the beginning, and needs a few hashes for it, not the log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ..base.errors import ProjectError

HEAD = re.compile(r"(?P<size>0|[1-9]\d{0,8}):(?P<root>[0-9a-f]{64})")


@dataclass(frozen=True)
class Head:
    """How many entries a log has, and the root over them, hexadecimal."""

    size: int
    root: str

    def __str__(self) -> str:
        return f"{self.size}:{self.root}"


def read_head(text: str) -> Head:
    """The head that somebody kept as `SIZE:ROOT`. Raises ProjectError if it is none."""
    found = HEAD.fullmatch(text.strip())
    if found is None:
        raise ProjectError(f"{text[:80]!r} is no head of a log: that is the number of entries, a colon and 64 digits.")
    return Head(int(found["size"]), found["root"])


def head_of(entries: Sequence[bytes]) -> Head:
    """The head of a log with these entries."""
    return Head(len(entries), _root([_leaf(entry) for entry in entries]).hex())


def consistency(entries: Sequence[bytes], size: int) -> list[str]:
    """The hashes that prove that the first `size` entries are the beginning (RFC 6962, 2.1.2), hexadecimal."""
    leaves = [_leaf(entry) for entry in entries]
    return [node.hex() for node in _subproof(leaves, size, whole=True)] if 0 < size < len(leaves) else []


def _leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _half(count: int) -> int:
    """The largest power of two below a count."""
    return 1 << (count - 1).bit_length() - 1


def _root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256().digest()
    half = _half(len(leaves))
    return _node(_root(leaves[:half]), _root(leaves[half:]))


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [_root(leaves)]
    half = _half(len(leaves))
    if size <= half:
        return [*_subproof(leaves[:half], size, whole=whole), _root(leaves[half:])]
    return [*_subproof(leaves[half:], size - half, whole=False), _root(leaves[:half])]
