"""Writes a dataset version: rows in order, cut into shards where a hash of a subject's id says so."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from ..base.errors import UnreadableImagesError
from ..base.workers import processors, work_through
from .dataset import IMAGE, ROW_FIELDS, Row, manifest_schema, rows_of
from .further import further_of
from .layout import DESCRIPTION, MANIFEST, ROOT_KEY, SALT_KEY, SHARDS, Description
from .merkle import Tree
from .profile import Sums, add
from .selection import ends_shard
from .shard_cache import ShardCache
from .spool import Batches, Part, ends_of_parts, spool

ROW_GROUP = 4_096  # rows of the manifest that are read together: who looks for one subject can leave out the others
POSITION = "position"  # a column of rows: where in its source the image of a row is
MEMORY = 256 * 2**20  # bytes of images that all processes together have in memory, as they come from the source
SPOOL = ".spool"


class Images(Batches, Protocol):
    """Where the images of rows come from. Other processes are given a copy of it."""

    def stored(self, rows: Sequence[Row], images: pa.Table) -> tuple[list[bytes], Sums]:
        """The image of each row as the shard holds it, and what was measured of them, if anything was.

        `images` are these rows of what `batches` gives.
        """

    @property
    def settings(self) -> Any:
        """All that `stored` depends on beside the images and the code, for JSON."""


@dataclass(frozen=True)
class Work:
    """Shards that follow each other, for one process to write."""

    rows: bytes  # as an Arrow stream: a part of a table would bring the whole table along
    columns: list[str]  # further ones of them
    part: Part
    ends: list[int]  # before which of these rows a shard ends
    images: Images
    folder: Path
    cache: ShardCache


@dataclass(frozen=True)
class Written:
    """What became of it."""

    manifest: bytes
    used: set[Path]  # of the cache
    unreadable: dict[str, str]  # why, by record_id
    sums: Sums  # what was measured of the images


# Writes all shards, and says what became of them in their order. It gets the folder of the dataset version, its rows in
# order, their images, before which rows shards end, and the cache.
Engine = Callable[[Path, pa.Table, Images, list[int], ShardCache], Iterable[Written]]


def in_processes(
    folder: Path, ordered: pa.Table, images: Images, ends: list[int], cache: ShardCache
) -> Iterable[Written]:
    """The engine of one machine: as many processes as there are processors."""
    (folder / SPOOL).mkdir()
    try:
        yield from _in_parts(folder, ordered, images, ends, cache)
    finally:
        shutil.rmtree(folder / SPOOL, ignore_errors=True)


def write_dataset(
    folder: Path,
    rows: pa.Table,
    images: Images,
    description: Description,
    *,
    subjects: int,
    salt: str,
    subject_salt: str,
    cache: ShardCache,
    engine: Engine = in_processes,
) -> Sums:
    """Writes a dataset version into `folder`. The same records give the same bytes, in whatever order they come.

    Returns what was measured of the images. `rows` has the columns of Row, POSITION, and further ones that the dataset
    version is to carry, as texts. `subjects` is the average number of subjects a shard holds, `salt`
    decides which; `subject_salt` goes into the hashes of the Merkle tree. `engine` writes the shards, whose bytes
    depend on it in nothing. Raises UnreadableImagesError, and leaves nothing behind, if there are images
    that cannot be read; all shards without one are then in the cache.
    """
    (folder / SHARDS).mkdir(parents=True)
    ordered = rows.sort_by([("subject_id", "ascending"), ("record_id", "ascending")]).combine_chunks()
    written = list(engine(folder, ordered, images, cut(ordered, subjects, salt), cache))
    for each in written:
        cache.used |= each.used
    if unreadable := {record: why for each in written for record, why in each.unreadable.items()}:
        shutil.rmtree(folder)
        raise UnreadableImagesError(unreadable)
    tree = Tree(subject_salt, pc.unique(ordered["subject_id"]).to_pylist())
    metadata = {ROOT_KEY: tree.root.encode(), SALT_KEY: subject_salt.encode()}
    table = pa.concat_tables(read_bytes(each.manifest) for each in written).replace_schema_metadata(metadata)
    # pages carry checksums, so that whoever reads a part of it can tell whether that part is as it was
    pq.write_table(table, folder / MANIFEST, compression="none", row_group_size=ROW_GROUP, write_page_checksum=True)
    text = json.dumps(asdict(description), indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")
    sums: Sums = {}
    for each in written:
        add(sums, each.sums)
    return sums


def columns_of(ordered: pa.Table) -> list[str]:
    """The further columns of the rows of a dataset version."""
    return further_of(ordered.column_names, POSITION)


def cut(ordered: pa.Table, subjects: int, salt: str) -> list[int]:
    """Before which rows shards end; the last ends before the row that would follow."""
    owners = ordered["subject_id"].combine_chunks()
    last = np.append(
        np.flatnonzero(pc.not_equal(owners[1:], owners[:-1]).to_numpy(zero_copy_only=False)), len(owners) - 1
    )
    ending = (ends_shard(subject, subjects, salt) for subject in owners.take(pa.array(last)).to_pylist())
    ends = [int(row) + 1 for row, is_end in zip(last, ending, strict=True) if is_end]
    return ends if ends and ends[-1] == len(owners) else [*ends, len(owners)]


def _in_parts(folder: Path, ordered: pa.Table, images: Images, ends: list[int], cache: ShardCache) -> Iterable[Written]:
    """Writes all shards, and says what became of them in their order."""
    processes = processors()
    size = images.size * ordered.num_rows // max(images.count, 1)
    # what a process makes of a part, and the next one, are in memory beside it
    edges = ends_of_parts(ends, size, max(1, MEMORY // (4 * processes)))
    parts = spool(images, ordered[POSITION].to_numpy(), edges, folder / SPOOL)
    starts, columns = [0, *edges[:-1]], columns_of(ordered)
    works = (
        Work(
            bytes_of(ordered.select([*ROW_FIELDS, *columns]).slice(start, end - start)),
            columns,
            part,
            [each - start for each in ends if start < each <= end],
            images,
            folder / SHARDS,
            cache,
        )
        for part, start, end in zip(parts, starts, edges, strict=True)
    )
    results = work_through(_write, works, min(processes, len(parts)))
    return track(results, "preparing", len(parts), console=Console(stderr=True))


def _write(work: Work) -> Written:
    rows, images = read_bytes(work.rows), work.part.read()
    schema, sums = manifest_schema(work.columns), Sums()
    manifest, unreadable = [schema.empty_table()], dict[str, str]()
    for start, end in zip([0, *work.ends[:-1]], work.ends, strict=True):
        shard, raw = rows_of(rows.slice(start, end - start), work.columns), images.slice(start, end - start)
        try:
            data, measured = shard_of(shard, raw, work.images, work.cache, work.columns)
        except UnreadableImagesError as error:
            unreadable |= error.reasons
            continue
        (work.folder / shard_name(hashlib.sha256(data).hexdigest())).write_bytes(data)
        add(sums, measured)
        manifest.append(pq.read_table(pa.BufferReader(data), columns=schema.names))
    work.part.clear()
    return Written(bytes_of(pa.concat_tables(manifest)), work.cache.used, unreadable, sums)


def shard_of(
    rows: list[Row], raw: pa.Table, images: Images, cache: ShardCache | None, columns: Sequence[str] = ()
) -> tuple[bytes, Sums]:
    """The bytes of the shard of `rows`, and what was measured of its images.

    As they come from the source, these are in `raw`; `columns` are further ones of the rows. Raises
    UnreadableImagesError if there are images that cannot be read.
    """

    def build() -> tuple[bytes, Sums]:
        stored, sums = images.stored(rows, raw)
        return _shard(rows, stored, columns), sums

    if cache is None:
        return build()
    return cache.get(rows, _fingerprint(images, raw, columns), build, lambda data: _holds(data, rows, columns))


def shard_name(sha256: str) -> str:
    """What a shard is called that has this hash."""
    return f"{sha256[:16]}.parquet"


def _fingerprint(images: Images, raw: pa.Table, columns: Sequence[str]) -> str:
    """A hash over all that a shard's images are made of, and the names of its further columns."""
    hashes = [hashlib.sha256(image.as_buffer()).hexdigest() for chunk in raw["image"].chunks for image in chunk]
    return hashlib.sha256(json.dumps([images.settings, hashes, [*columns]]).encode()).hexdigest()


def _holds(data: bytes, rows: list[Row], columns: Sequence[str]) -> bool:
    """Whether a shard has exactly these rows; whose images they are is for who made it to say."""
    try:
        table = pq.read_table(pa.BufferReader(data), columns=[*ROW_FIELDS, *columns])
    except (pa.ArrowException, OSError):
        return False
    return rows_of(table, columns) == rows


def _shard(rows: list[Row], stored: list[bytes], further: Sequence[str]) -> bytes:
    """A Parquet file, not compressed: the same bytes on every platform."""
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in ROW_FIELDS}
    columns |= {name: [row.further[place] for row in rows] for place, name in enumerate(further)}
    columns |= {"content_sha256": [hashlib.sha256(image).hexdigest() for image in stored], "image": stored}
    schema, sink = manifest_schema(further).append(IMAGE), pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pydict(columns, schema=schema), sink, compression="none")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def bytes_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_bytes(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
