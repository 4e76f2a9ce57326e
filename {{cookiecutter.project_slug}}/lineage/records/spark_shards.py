"""Shards written by the workers of Spark: the same functions as on one machine, over groups of subjects.

The driver plans: it knows which row of the dataset version each raw record is, and where shards end, from the columns
alone. Workers read the raw images row group by row group; Spark brings those of a shard together; a worker makes the
shard and puts it into a staging folder, under a name that no other attempt has. Only names that the result of a task
holds are looked at, so what a failed, repeated or doubled task has left there counts for nothing. The driver compares
each shard with its hash and with the plan before it takes it over, one at a time.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from ..base.errors import DataError, LineageError, UnreadableImagesError
from .dataset import ROW_FIELDS, manifest_schema, rows_of
from .layout import SHARDS
from .preparation import BATCH, read_images
from .shard_cache import ShardCache
from .sharding import POSITION, Images, Written, bytes_of, columns_of, read_bytes, shard_name, shard_of
from .workplace import Workplace

SHARD, PLACE = "shard", "place"  # columns of what goes from task to task: which shard, which row of the dataset version
PIECE = "number int, file string, row_group int, rows binary"
MADE = f"{SHARD} long, file string, sha256 string, unreadable string, sums string, used string, worker string"
CHUNK = 2**20  # bytes
MOST_ROWS = 10_000  # that go between Java and Python together
FOR_A_PARTITION = 128 * 2**20  # bytes of raw images, where nobody says how many partitions there are


class RawFiles(Images, Protocol):
    """Images in Parquet files, whose row groups can be read each for itself."""

    @property
    def files(self) -> list[Path]:
        """In the order of the source."""


@dataclass(frozen=True)
class Task:
    """What every worker is told."""

    images: RawFiles
    columns: list[str]  # further ones of the rows
    rows: int  # that are read together
    staging: str  # a folder, or the address of one
    cache: ShardCache | None
    driver: Workplace


@dataclass(frozen=True)
class Made:
    """A shard in the staging folder, or why there is none."""

    shard: int
    file: str
    sha256: str
    unreadable: str  # why, by record_id, as JSON
    sums: str  # what was measured of the images, as JSON
    used: str  # the file of the cache
    worker: str


class OnSpark:
    """An engine, see sharding.py.

    `shared` is an address that the driver and all workers reach; None: they are all on this machine, and `scratch` is a
    folder there. `partitions` None stands for a number that suits the size of the data.
    """

    def __init__(
        self, session: Any, driver: Workplace, scratch: Path, shared: str | None, partitions: int | None
    ) -> None:
        self._session = session
        self._driver = driver
        self._scratch = scratch
        self._shared = shared
        self._partitions = partitions
        self.workers: set[str] = set()  # that have made shards

    def __call__(
        self, folder: Path, ordered: pa.Table, source: Images, ends: list[int], cache: ShardCache
    ) -> Iterable[Written]:
        """Writes all shards into `folder`. Raises LineageError if a worker has made another one than was planned."""
        images = _in_files(source)
        rows = max(1, BATCH * images.count // max(images.size, 1))
        staging = Staging(self._shared or str(self._scratch), is_shared=self._shared is not None)
        try:
            raw = staging.bring(images.files)
            kept = cache if self._shared is None else None
            task = Task(images, columns_of(ordered), rows, staging.address, kept, self._driver)
            made = self._made(task, list(_pieces(ordered, images.files, raw, ends)), len(ends))
            self.workers |= {each.worker for each in made}
            yield from (_taken(staging, each, folder, ordered, span) for each, span in _in_order(made, ends))
        finally:
            staging.clear()

    def _made(self, task: Task, pieces: list[tuple[int, str, int, bytes]], shards: int) -> list[Made]:
        session, at_once = self._session, self._session.sparkContext.defaultParallelism
        session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(min(task.rows, MOST_ROWS)))
        wanted = self._partitions or max(2 * at_once, task.images.size // FOR_A_PARTITION + 1)
        found = (
            session.createDataFrame(pieces, PIECE)
            .repartitionByRange(min(len(pieces), 4 * at_once), "number")
            .mapInArrow(partial(read_pieces, task), _images(task.columns))
            .repartitionByRange(min(wanted, shards), SHARD)
            .sortWithinPartitions(PLACE)
            .mapInArrow(partial(write_shards, task), MADE)
        )
        return [Made(**row.asDict()) for row in found.collect()]


class Staging:
    """A folder for one execution, at an address that all share, or in a folder of this machine.

    Not within the dataset version: a task that nobody waits for any more may write into it at any time.
    """

    def __init__(self, place: str, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self.address = f"{place.rstrip('/')}/{secrets.token_hex(8)}"
        self._system, self._path = opened(self.address)
        self._system.create_dir(self._path)

    def bring(self, files: Sequence[Path]) -> list[str]:
        """Where workers find these files. They are copied to a shared address."""
        if not self._is_shared:
            return [str(file.absolute()) for file in files]
        for number, file in enumerate(files):
            with file.open("rb") as source, self._system.open_output_stream(f"{self._path}/raw-{number}") as target:
                shutil.copyfileobj(source, target, CHUNK)
        return [f"{self.address}/raw-{number}" for number in range(len(files))]

    def take(self, name: str, sha256: str, target: Path) -> None:
        """Brings a file of this folder to `target`. Raises LineageError if it has another hash."""
        digest = hashlib.sha256()
        with self._system.open_input_stream(f"{self._path}/{name}") as source, target.open("wb") as copy:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
        if digest.hexdigest() != sha256:
            raise LineageError(f"{name} in {self.address} is not what a worker has written. Run `dvc repro` again.")
        self._system.delete_file(f"{self._path}/{name}")

    def clear(self) -> None:
        """Removes the folder, with what failed and doubled tasks have left in it."""
        try:
            self._system.delete_dir(self._path)
        except OSError as error:
            print(f"warning: {self.address} cannot be removed ({error}). It holds images.", file=sys.stderr)


def opened(address: str) -> tuple[fs.FileSystem, str]:
    """The file system of an address, and the path in it."""
    return fs.FileSystem.from_uri(address) if "://" in address else (fs.LocalFileSystem(), address)


def _images(columns: Sequence[str]) -> str:
    """The columns of the images that go from task to task, for Spark."""
    texts = [f"{name} string" for name in (*ROW_FIELDS, *columns)]
    return ", ".join([f"{SHARD} long", f"{PLACE} long", *texts, "image binary", "path string"])


def _pieces(
    ordered: pa.Table, files: Sequence[Path], raw: Sequence[str], ends: Sequence[int]
) -> Iterator[tuple[int, str, int, bytes]]:
    """The row groups of the source that hold used records: a number, where it is, and what becomes of its rows."""
    places = np.arange(ordered.num_rows)
    planned = ordered.append_column(SHARD, pa.array(np.searchsorted(ends, places, side="right")))
    planned = planned.append_column(PLACE, pa.array(places)).sort_by(POSITION)
    positions, first, number = planned[POSITION].to_numpy(), 0, 0
    for file, address in zip(files, raw, strict=True):
        metadata = pq.read_metadata(file)
        for group in range(metadata.num_row_groups):
            count = metadata.row_group(group).num_rows
            start, end = (int(place) for place in np.searchsorted(positions, [first, first + count]))
            if start < end:
                rows = planned.slice(start, end - start)
                here = pa.array(positions[start:end] - first)
                rows = rows.set_column(rows.column_names.index(POSITION), POSITION, here)
                yield number, address, group, bytes_of(rows)
                number += 1
            first += count


def read_pieces(task: Task, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: the images of row groups, each with the row that it belongs to. Columns: `_images`."""
    task.driver.require_same()
    columns = [SHARD, PLACE, *ROW_FIELDS, *task.columns]
    for piece in (each for batch in batches for each in batch.to_pylist()):
        rows, first = read_bytes(piece["rows"]).combine_chunks(), 0
        positions = rows[POSITION].to_numpy()
        system, path = opened(piece["file"])
        with system.open_input_file(path) as file:
            for images in read_images(file, task.rows, [piece["row_group"]]):
                start, end = (int(at) for at in np.searchsorted(positions, [first, first + images.num_rows]))
                if start < end:
                    chosen = images.take(pa.array(positions[start:end] - first))
                    (kept,) = rows.slice(start, end - start).select(columns).to_batches()
                    yield kept.append_column("image", chosen["image"]).append_column("path", chosen["path"])
                first += images.num_rows


def write_shards(task: Task, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: the shards of a partition, written into the staging folder. Columns are those of MADE."""
    task.driver.require_same()
    system, path = opened(task.staging)
    for table in _by_shard(batches):
        shard, rows = int(table[SHARD][0].as_py()), rows_of(table, task.columns)
        made = Made(shard, "", "", "{}", "{}", "", platform.node())
        before = set(task.cache.used) if task.cache else set()
        try:
            data, sums = shard_of(rows, table, task.images, task.cache, task.columns)
        except UnreadableImagesError as error:
            yield _as_batch(made, unreadable=json.dumps(error.reasons))
            continue
        digest = hashlib.sha256(data).hexdigest()
        # a name for each attempt: two of the same task do not meet, and a half-written file has no name that counts
        name = f"{digest[:16]}-{secrets.token_hex(8)}"
        with system.open_output_stream(f"{path}/{name}") as file:
            file.write(data)
        used = "".join(str(each) for each in task.cache.used - before) if task.cache else ""
        yield _as_batch(made, file=name, sha256=digest, sums=json.dumps(sums), used=used)


def _as_batch(made: Made, **more: str) -> pa.RecordBatch:
    values = {**vars(made), **more}
    return pa.RecordBatch.from_pydict({name: pa.array([value]) for name, value in values.items()})


def _by_shard(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of each shard: they follow each other, and may be in several batches."""
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        shards = batch[SHARD].to_numpy()
        changes = np.flatnonzero(np.diff(shards)) + 1
        for start, end in pairwise([0, *(int(each) for each in changes), len(shards)]):
            if start == end:
                continue
            if kept and kept[0][SHARD][0].as_py() != shards[start]:
                yield pa.Table.from_batches(kept)
                kept = []
            kept.append(batch.slice(start, end - start))
    if kept:
        yield pa.Table.from_batches(kept)


def _in_order(made: list[Made], ends: Sequence[int]) -> Iterator[tuple[Made, tuple[int, int]]]:
    """Each shard with the rows that it must have. Raises LineageError unless each was made once."""
    found = sorted(made, key=lambda each: each.shard)
    if [each.shard for each in found] != list(range(len(ends))):
        raise LineageError(f"Spark gave {len(found)} shards where {len(ends)} were planned. Run `dvc repro` again.")
    yield from zip(found, pairwise([0, *ends]), strict=True)


def _taken(staging: Staging, made: Made, folder: Path, ordered: pa.Table, span: tuple[int, int]) -> Written:
    """Takes a shard over. Raises LineageError if it has other rows than planned."""
    used, columns = {Path(made.used)} if made.used else set(), columns_of(ordered)
    schema = manifest_schema(columns)
    if reasons := json.loads(made.unreadable):
        return Written(bytes_of(schema.empty_table()), used, reasons, {})
    shard = folder / SHARDS / shard_name(made.sha256)
    staging.take(made.file, made.sha256, shard)
    manifest, planned = pq.read_table(shard, columns=schema.names), ordered.slice(span[0], span[1] - span[0])
    if any(not manifest[name].equals(planned[name]) for name in (*ROW_FIELDS, *columns)):
        raise LineageError(f"shard {made.shard} of {made.worker} has other rows than planned. Run `dvc repro` again.")
    return Written(bytes_of(manifest), used, {}, json.loads(made.sums))


def _in_files(images: Images) -> RawFiles:
    """Raises DataError if workers cannot read these images row group by row group."""
    if not hasattr(images, "files"):
        raise DataError("these images are in no files of raw records that Spark could read in parts.")
    return images  # type: ignore[return-value]
