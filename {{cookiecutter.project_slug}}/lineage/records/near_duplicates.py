"""Records whose images look alike, by a perceptual hash: the same picture saved again, scaled, or a little brighter.

Only for a report. Alike is no proof: flat pictures, and those of one scene, look alike too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from .dataset import shards_in_order

SHOWN = 3
BITS = 64
Record = dict[str, Any]
Pair = tuple[Record, Record]


@dataclass
class Alike:
    """How many pairs of records with different images look alike, and some of them."""

    pairs: int = 0
    across_splits: int = 0
    first: dict[bool, list[Pair]] = field(default_factory=lambda: {True: [], False: []})  # by: are they in two splits

    def add(self, pair: Pair) -> None:
        across = pair[0]["split"] != pair[1]["split"]
        self.pairs += 1
        self.across_splits += across
        if len(self.first[across]) < SHOWN:
            self.first[across].append(pair)

    @property
    def counts(self) -> dict[str, float]:
        return {"near_duplicate_pairs": self.pairs, "near_duplicates_across_splits": self.across_splits}

    def __str__(self) -> str:
        worst = [*self.first[True], *self.first[False]][:SHOWN]
        named = [" ~ ".join(f"{record['record_id']!r} ({record['split']})" for record in pair) for pair in worst]
        more = f" and {self.pairs - SHOWN} more" if self.pairs > SHOWN else ""
        shown = f": {'; '.join(named)}{more}" if named else ""
        return f"{self.pairs} pairs of images look alike, {self.across_splits} of them in two splits{shown}"


def find_alike(dataset: Path, most: int) -> Alike:
    """The pairs of records of a dataset version whose hashes differ in `most` bits or fewer, and their images, too."""
    records: dict[int, dict[str, list[Record]]] = {}  # by hash, then by image
    for shard in shards_in_order(dataset):
        for row in pq.read_table(shard, columns=["record_id", "split", "content_sha256", "image"]).to_pylist():
            images = records.setdefault(difference_hash(row.pop("image")), {})
            images.setdefault(row["content_sha256"], []).append(row)
    alike = Alike()
    for images in records.values():
        for one, other in combinations(images.values(), 2):
            for pair in product(one, other):
                alike.add(pair)
    for here, there in near(list(records), most):
        for one, other in product(records[here].values(), records[there].values()):
            for pair in product(one, other):
                alike.add(pair)
    return alike


def difference_hash(image: bytes) -> int:
    """64 bits: whether brightness rises from each pixel to the next in a copy of 9 by 8 pixels (N. Krawetz's dHash)."""
    with Image.open(io.BytesIO(image)) as opened:
        small = np.asarray(opened.convert("L").resize((9, 8), Image.Resampling.BILINEAR), dtype=np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes())


def near(hashes: list[int], most: int) -> Iterator[tuple[int, int]]:
    """Pairs of different hashes that differ in `most` bits or fewer.

    Of `most` + 1 parts of such a pair one is the same in both, so that only hashes that share a part are compared.
    """
    edges = [BITS * part // (most + 1) for part in range(most + 2)]
    for part, (low, high) in enumerate(pairwise(edges)):
        buckets: dict[int, list[int]] = {}
        for value in hashes:
            buckets.setdefault(_part(value, low, high), []).append(value)
        for bucket in buckets.values():
            values = np.array(bucket, dtype=np.uint64)
            for number, value in enumerate(bucket[:-1]):
                close = np.flatnonzero(_ones(values[number + 1 :] ^ values[number]) <= most) + number + 1
                for other in (bucket[place] for place in close):
                    if not _shares(value, other, edges[: part + 1]):  # else an earlier part has found it
                        yield value, other


def _part(value: int, low: int, high: int) -> int:
    return value >> low & (1 << high - low) - 1


def _shares(one: int, other: int, edges: list[int]) -> bool:
    return any(_part(one, low, high) == _part(other, low, high) for low, high in pairwise(edges))


def _ones(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1, dtype=np.int64)
    return counts
