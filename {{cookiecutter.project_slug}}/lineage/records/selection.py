"""Which records are used, and for what. Each answer depends on a salted hash of one id and on nothing else.

So 5% of the records is a subset of 10%, all records of a subject are in one split, and adding or removing anything
moves nothing else.
"""

from __future__ import annotations

import hashlib
from typing import Literal

SplitName = Literal["train", "val", "test"]


def unit_hash(salt: str, identifier: str) -> float:
    """A number in [0, 1) that depends on `salt` and `identifier` alone, uniform over identifiers."""
    digest = hashlib.sha256(f"{salt}\0{identifier}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # 48 bits are exact in a float, so 1.0 cannot come out


def is_sampled(record_id: str, fraction: float, salt: str) -> bool:
    """Whether a record is in a sample of `fraction` (0 < fraction <= 1) of all records."""
    return unit_hash(salt, record_id) < fraction


def split_of(subject_id: str, train: float, val: float, salt: str) -> SplitName:
    """The split of all records of a subject. `train` and `val` are shares of the subjects; the rest is test."""
    position = unit_hash(salt, subject_id)
    if position < train:
        return "train"
    return "val" if position < train + val else "test"


def ends_shard(subject_id: str, subjects: int, salt: str) -> bool:
    """Whether a shard ends with this subject. Shards hold `subjects` subjects on average."""
    return unit_hash(salt, subject_id) < 1 / subjects
