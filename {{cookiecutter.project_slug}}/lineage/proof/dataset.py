"""A dataset version from its objects, without a workspace: its manifest, its shards, its description."""

from __future__ import annotations

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ..base.errors import DamageError
from ..dvc.objects import Objects
from ..records.layout import DESCRIPTION, MANIFEST, ROOT_KEY, SALT_KEY, SHARDS
from ..records.merkle import Tree
from .erased import ErasedDataset


@cache
def compare_manifest(objects: Objects, md5: str) -> tuple[int, list[str]]:
    """How many rows the manifest of a dataset version has, and what differs between it and the shards.

    The content of each record is hashed again. Raises LineageError if an object cannot be had, DamageError if it holds
    other bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    listing = objects.listing(md5)
    if MANIFEST not in listing:
        return 0, [f"{MANIFEST} is not in the listing of {md5}"]
    shards = {path: name for path, name in listing.items() if path.startswith(f"{SHARDS}/")}
    faults = []
    with tempfile.TemporaryDirectory() as scratch:
        manifest = pq.ParquetFile(objects.verified(listing[MANIFEST], Path(scratch))).read()
        rows = []
        for path, name in shards.items():
            shard = pq.ParquetFile(objects.verified(name, Path(scratch))).read()
            images, recorded = shard["image"].to_pylist(), shard["content_sha256"].to_pylist()
            wrong = [
                record
                for record, image, sha256 in zip(shard["record_id"].to_pylist(), images, recorded, strict=True)
                if hashlib.sha256(image).hexdigest() != sha256
            ]
            if wrong:
                faults.append(f"content_sha256 in {path} is not that of the image of {', '.join(wrong[:5])}")
            rows.append(shard.select(manifest.column_names))
    together = pa.concat_tables(rows) if rows else manifest.slice(0, 0)
    listed, stored = set(map(_row, manifest.to_pylist())), set(map(_row, together.to_pylist()))
    for what, difference in (("not in the shards", listed - stored), ("not in the manifest", stored - listed)):
        if difference:
            ids = ", ".join(sorted(dict(row)["record_id"] for row in difference)[:5])
            faults.append(f"{len(difference)} rows of dataset {md5} are {what}: {ids}")
    if manifest.num_rows != together.num_rows:
        faults.append(f"the manifest of {md5} has {manifest.num_rows} rows, the shards have {together.num_rows}")
    return manifest.num_rows, faults


@cache
def subject_tree(objects: Objects, md5: str, erased: ErasedDataset | None = None) -> Tree:
    """The Merkle tree over the subjects of a dataset version, built from its manifest or from what is left of it.

    Raises as `compare_manifest` does, and DamageError if the manifest states another root.
    """
    import pyarrow.parquet as pq

    name = erased.redacted if erased else objects.listing(md5)[MANIFEST]
    with tempfile.TemporaryDirectory() as scratch:
        # `read_table` imports pandas
        manifest = pq.ParquetFile(objects.verified(name, Path(scratch))).read(columns=["subject_id"])
    subjects = manifest["subject_id"].unique().to_pylist()
    if erased:
        return erased.tree(subjects)
    metadata = manifest.schema.metadata or {}
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


def _row(row: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(row.items())
