"""Writes a dataset version: rows in order, cut into shards where a hash of a subject's id says so."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from ..base.errors import UnreadableImagesError
from .dataset import (
    DESCRIPTION,
    FIELDS,
    MANIFEST,
    MANIFEST_SCHEMA,
    ROOT_KEY,
    SALT_KEY,
    SHARD_SCHEMA,
    SHARDS,
    Description,
    Row,
)
from .merkle import Tree
from .selection import ends_shard
from .shard_cache import ShardCache

ROW_GROUP = 4_096  # rows of the manifest that are read together: who looks for one subject can leave out the others


class Images(Protocol):
    """Where the images of rows come from."""

    def stored(self, rows: Sequence[Row]) -> list[bytes]:
        """The image of each row, as the shard holds it."""

    def fingerprint(self, rows: Sequence[Row]) -> str:
        """A hash of all that `stored` depends on beside the code."""


def write_dataset(
    folder: Path,
    rows: list[Row],
    images: Images,
    description: Description,
    *,
    subjects: int,
    salt: str,
    subject_salt: str,
    cache: ShardCache,
) -> None:
    """Writes a dataset version into `folder`. The same records give the same bytes, in whatever order they come.

    `subjects` is the average number of subjects a shard holds, `salt` decides which; `subject_salt` goes into the
    hashes of the Merkle tree. Raises UnreadableImagesError, and leaves nothing behind, if there are images that cannot
    be read; all shards without one are then in the cache.
    """
    (folder / SHARDS).mkdir(parents=True)
    manifest = [MANIFEST_SCHEMA.empty_table()]
    unreadable: dict[str, str] = {}
    shards = list(cut(sorted(rows, key=FIELDS), subjects, salt))
    for shard in track(shards, "preparing", console=Console(stderr=True)):
        try:
            data = cache.get(
                shard,
                images.fingerprint(shard),
                lambda shard=shard: _shard(shard, images),  # type: ignore[misc]
                lambda data, shard=shard: _holds(data, shard),  # type: ignore[misc]
            )
        except UnreadableImagesError as error:
            unreadable |= error.reasons
            continue
        (folder / SHARDS / f"{hashlib.sha256(data).hexdigest()[:16]}.parquet").write_bytes(data)
        manifest.append(pq.read_table(pa.BufferReader(data), columns=MANIFEST_SCHEMA.names))
    if unreadable:
        shutil.rmtree(folder)
        raise UnreadableImagesError(unreadable)
    tree = Tree(subject_salt, (row.subject_id for row in rows))
    metadata = {ROOT_KEY: tree.root.encode(), SALT_KEY: subject_salt.encode()}
    table = pa.concat_tables(manifest).replace_schema_metadata(metadata)
    # pages carry checksums, so that whoever reads a part of it can tell whether that part is as it was
    pq.write_table(table, folder / MANIFEST, compression="none", row_group_size=ROW_GROUP, write_page_checksum=True)
    text = json.dumps(asdict(description), indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")


def cut(ordered: Sequence[Row], subjects: int, salt: str) -> Iterator[list[Row]]:
    """The rows of each shard."""
    shard: list[Row] = []
    for row, following in zip(ordered, [*ordered[1:], None], strict=True):
        shard.append(row)
        last_of_subject = following is None or following.subject_id != row.subject_id
        if following is None or (last_of_subject and ends_shard(row.subject_id, subjects, salt)):
            yield shard
            shard = []


def _holds(data: bytes, rows: list[Row]) -> bool:
    """Whether a shard has exactly these rows; whose images they are is for who made it to say."""
    try:
        table = pq.read_table(pa.BufferReader(data), columns=[field.name for field in fields(Row)])
    except (pa.ArrowException, OSError):
        return False
    expected = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Row)}
    return bool(table.to_pydict() == expected)


def _shard(rows: list[Row], images: Images) -> bytes:
    """A Parquet file, not compressed: the same bytes on every platform."""
    stored = images.stored(rows)
    records = [
        {**asdict(row), "content_sha256": hashlib.sha256(image).hexdigest(), "image": image}
        for row, image in zip(rows, stored, strict=True)
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records, schema=SHARD_SCHEMA), sink, compression="none")
    data: bytes = sink.getvalue().to_pybytes()
    return data
