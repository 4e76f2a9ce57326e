"""A dataset version from its objects, without a workspace: its manifest, its shards, its description."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import DamageError
from ..dvc.objects import Objects
from ..records.layout import DESCRIPTION, MANIFEST, ROOT_KEY, SALT_KEY, SHARDS
from ..records.merkle import Tree
from .erased import ErasedDataset
from .rows import as_array, batches, digests, digests_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SHOWN = 5  # ids in a sentence


@cache
def compare_manifest(objects: Objects, md5: str) -> tuple[int, list[str]]:
    """How many rows the manifest of a dataset version has, and what differs between it and the shards.

    The content of each record is hashed again. Raises LineageError if an object cannot be had, DamageError if it holds
    other bytes.
    """
    import pyarrow.parquet as pq

    listing = objects.listing(md5)
    if MANIFEST not in listing:
        return 0, [f"{MANIFEST} is not in the listing of {md5}"]
    shards = {path: name for path, name in listing.items() if path.startswith(f"{SHARDS}/")}
    faults, stored = [], list[bytes]()
    with tempfile.TemporaryDirectory() as scratch:
        manifest = objects.verified(listing[MANIFEST], Path(scratch))
        columns = pq.read_schema(manifest).names
        listed = digests(batches(manifest), columns)
        for path, name in shards.items():
            with _at_hand(objects, name, Path(scratch)) as shard:
                wrong = []
                for batch in batches(shard, [*columns, "image"]):
                    stored.append(digests_of(batch, columns))
                    wrong += _with_other_images(batch)
            if wrong:
                faults.append(f"content_sha256 in {path} is not that of the image of {', '.join(wrong[:SHOWN])}")
        together = as_array(b"".join(stored))
        rows = {"not in the shards": [listing[MANIFEST]], "not in the manifest": [*shards.values()]}
        for (what, names), one, other in zip(rows.items(), (listed, together), (together, listed), strict=True):
            if count := len(differing := _only_in(one, other)):
                ids = ", ".join(_ids_of(objects, names, columns, differing, Path(scratch)))
                faults.append(f"{count} rows of dataset {md5} are {what}: {ids}")
    if len(listed) != len(together):
        faults.append(f"the manifest of {md5} has {len(listed)} rows, the shards have {len(together)}")
    return len(listed), faults


@contextmanager
def _at_hand(objects: Objects, name: str, scratch: Path) -> Iterator[Path]:
    """The file of an object; one that had to be fetched is there no longer than it is needed."""
    file = objects.verified(name, scratch)
    yield file
    if file.parent == scratch:
        file.unlink()


def _with_other_images(shard: pa.RecordBatch) -> list[str]:
    """The records whose image has another hash than the shard says."""
    columns = (shard[name].to_pylist() for name in ("record_id", "image", "content_sha256"))
    return [
        record for record, image, sha256 in zip(*columns, strict=True) if hashlib.sha256(image).hexdigest() != sha256
    ]


def _only_in(one: NDArray[np.bytes_], other: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Each digest that `one` has and `other` has not, once."""
    import numpy as np

    return np.setdiff1d(one, other)


def _ids_of(
    objects: Objects, names: list[str], columns: list[str], wanted: NDArray[np.bytes_], scratch: Path
) -> list[str]:
    """The first record ids, in their order, of rows that have one of these digests."""
    import numpy as np

    first: list[tuple[str, bytes]] = []
    for name in names:
        with _at_hand(objects, name, scratch) as file:
            for batch in batches(file, columns):
                found = digests([batch], columns)
                chosen = np.flatnonzero(np.isin(found, wanted))
                ids = batch["record_id"].take(chosen).to_pylist()
                first = sorted({*first, *zip(ids, found[chosen].tolist(), strict=True)})[:SHOWN]
    return [record_id for record_id, _ in first]


@cache
def subject_tree(objects: Objects, md5: str, erased: ErasedDataset | None = None) -> Tree:
    """The Merkle tree over the subjects of a dataset version, built from its manifest or from what is left of it.

    Raises as `compare_manifest` does, and DamageError if the manifest states another root.
    """
    import pyarrow.parquet as pq

    name = erased.redacted if erased else objects.listing(md5)[MANIFEST]
    with tempfile.TemporaryDirectory() as scratch:
        manifest = objects.verified(name, Path(scratch))
        metadata = pq.read_schema(manifest).metadata or {}
        subjects = (each for batch in batches(manifest, ["subject_id"]) for each in batch[0].unique().to_pylist())
        if erased:
            return erased.tree(subjects)
        if not {ROOT_KEY, SALT_KEY} <= metadata.keys():
            raise DamageError(f"the manifest of {md5} states no Merkle root or no salt.")
        tree = Tree(metadata[SALT_KEY].decode(), subjects)
    if metadata[ROOT_KEY].decode() != tree.root:
        raise DamageError(f"the manifest of {md5} states another Merkle root than its subjects have.")
    return tree


def describe(objects: Objects, md5: str) -> dict[str, Any]:
    """Records and subjects by split, classes, the number of shards. Raises as `compare_manifest` does."""
    listing = objects.listing(md5)
    described: dict[str, Any] = json.loads(objects.read(listing[DESCRIPTION]))
    return {**described, "shards": sum(path.startswith(f"{SHARDS}/") for path in listing)}
