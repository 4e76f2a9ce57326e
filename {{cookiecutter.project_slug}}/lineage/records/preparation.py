"""From raw records to the rows and images of a dataset version."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..base.errors import DataError, UnreadableImagesError
from ..settings.data import Data, Image, Split
from .dataset import Row
from .further import carried
from .ids import fault_of_id
from .images import encode_planes, open_upright, planes_of
from .layout import Description
from .profile import Measurer, Sums
from .raw import SPLIT
from .selection import is_sampled, split_of
from .sharding import POSITION

SPLITS = ("train", "val", "test")
BATCH = 8 * 2**20  # bytes of raw images that are read together
AT_ONCE = 65_536  # values of a column as objects of Python


def choose(
    table: pa.Table,
    settings: Data,
    consented: frozenset[str] | None,
    unreadable: Collection[str] = (),
    together: Mapping[str, str] | None = None,
) -> tuple[pa.Table, Description]:
    """The rows of a dataset version from a table of raw records: consented, sampled, and split by subject.

    The table needs no images; that of rows has the columns of Row, POSITION (the place of a record in the table), and
    the further ones that the settings name.
    `consented` are the subjects whose records may be used; None: all. `unreadable` are records to leave out. `together`
    are splits of subjects that a hash of their own id does not decide. Raises DataError if two records have one id, an
    id or a label cannot be one, two classes are called alike, a subject is in two splits, a split is empty, or a class
    is missing from train.
    """
    ids, owners = table["record_id"], table["subject_id"]
    _refuse_duplicates(ids)
    for name in ("record_id", "subject_id", "label"):
        _refuse_faulty(name, table[name])
    labels = table["label"].value_counts()
    if settings.alike_classes == "refuse":
        _refuse_alike({count["values"]: count["counts"] for count in labels.to_pylist()})
    is_given = SPLIT in table.column_names
    if is_given:
        _refuse_divided(table)
    used = _where(ids, lambda record: is_sampled(record, settings.fraction, settings.sampling.salt))
    if consented is not None:
        used = pc.and_(used, pc.is_in(owners, value_set=pa.array(sorted(consented), pa.string())))
    if unreadable:
        used = pc.and_(used, pc.invert(pc.is_in(ids, value_set=pa.array(sorted(unreadable), pa.string()))))
    rows = table.select(["subject_id", "record_id", "label", *([SPLIT] if is_given else [])])
    further = carried(table, settings)
    for name in settings.columns:
        rows = rows.append_column(name, further[name])
    rows = rows.append_column(POSITION, pa.array(np.arange(table.num_rows))).filter(used)
    if not is_given:
        rows = rows.append_column(SPLIT, _splits(rows["subject_id"], settings.split, together or {}))
    # all classes of the source, so that a class keeps its number however few records are used
    classes = sorted(labels.field("values").to_pylist())
    records, subjects = count_by_split(rows)
    _check_splits(rows, classes, records, settings.fraction, is_given)
    by_hash = "hash, duplicates together" if settings.duplicates == "together" else "hash"
    return rows, Description(
        classes=classes,
        image_size=settings.image.size,
        channels=settings.image.channels,
        background=settings.image.background,
        further_pages=settings.image.further_pages,
        split_by="source" if is_given else by_hash,
        records=records,
        subjects=subjects,
    )


def count_by_split(rows: pa.Table) -> tuple[dict[str, int], dict[str, int]]:
    """How many records and how many subjects each split has."""
    counted = rows.group_by(SPLIT).aggregate([("record_id", "count"), ("subject_id", "count_distinct")]).to_pylist()
    records = {each[SPLIT]: each["record_id_count"] for each in counted}
    subjects = {each[SPLIT]: each["subject_id_count_distinct"] for each in counted}
    return {split: records.get(split, 0) for split in SPLITS}, {split: subjects.get(split, 0) for split in SPLITS}


def absent_classes(rows: pa.Table, classes: Sequence[str]) -> dict[str, list[str]]:
    """The classes that no record of a split is of, by split."""
    present = {(each[SPLIT], each["label"]) for each in rows.group_by([SPLIT, "label"]).aggregate([]).to_pylist()}
    return {split: [name for name in classes if (split, name) not in present] for split in SPLITS}


def left_out(table: pa.Table, statuses: dict[str, str], consented: frozenset[str]) -> dict[str, float]:
    """How many subjects and records of the raw data the consent registry keeps out, for the report."""
    owners = table["subject_id"]
    kept_out = set(pc.unique(owners).to_pylist()) - consented
    return {
        "left_out_records": pc.sum(pc.is_in(owners, value_set=pa.array(sorted(kept_out), pa.string()))).as_py() or 0,
        "left_out_subjects_revoked": len(kept_out & statuses.keys()),
        "left_out_subjects_unlisted": len(kept_out - statuses.keys()),
    }


class RawImages:
    """The images of a file of raw records."""

    def __init__(self, file: Path, settings: Image) -> None:
        self._file = file
        self._settings = settings

    @cached_property
    def count(self) -> int:
        return int(pq.read_metadata(self._file).num_rows)

    @cached_property
    def size(self) -> int:
        metadata = pq.read_metadata(self._file)
        place = metadata.schema.names.index("image")
        return sum(
            metadata.row_group(number).column(place).total_uncompressed_size
            for number in range(metadata.num_row_groups)
        )

    @property
    def settings(self) -> dict[str, Any]:
        return self._settings.model_dump()

    @property
    def files(self) -> list[Path]:
        """The files that hold them, in their order."""
        return [self._file]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The images and, where the source says it, the path of each."""
        rows = max(1, BATCH * self.count // max(self.size, 1))
        for file in self.files:
            yield from read_images(file, rows)

    def stored(self, rows: Sequence[Row], images: pa.Table) -> tuple[list[bytes], Sums]:
        """PNG files at the size and in the channels of the settings, and what was measured of raw images and pixels.

        Raises UnreadableImagesError, which names all.
        """
        image, measurer = self._settings, Measurer()
        files, reasons = [], {}
        for row, path, data in zip(rows, images["path"], images["image"], strict=True):
            try:
                upright = open_upright(data.as_py(), image.channels, image.background, image.further_pages)
                planes = planes_of(upright, image.size)
                files.append(encode_planes(planes))
                measurer.add(row.split, upright.size, planes)
            except OSError as error:
                reasons[row.record_id] = f"{_named(row.record_id, path.as_py())} ({error})"
            except MemoryError:
                raise DataError(
                    f"there is not enough memory to decode {_named(row.record_id, path.as_py())}."
                ) from None
        if reasons:
            raise UnreadableImagesError(reasons)
        return files, measurer.sums


def read_images(source: Any, rows: int, row_groups: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
    """The columns `image` and `path` of a file of raw records, `rows` at a time; None: of all of its row groups."""
    # else whole row groups are read at once, and all of them are kept until the last is done with
    with pq.ParquetFile(source, buffer_size=2**20, pre_buffer=False) as file:
        columns = ["image", "path" if "path" in file.schema_arrow.names else "record_id"]
        for batch in file.iter_batches(rows, row_groups=row_groups, columns=columns):
            yield batch.select(columns).rename_columns(["image", "path"])


def _named(record_id: str, path: str) -> str:
    return repr(record_id) if path == record_id else f"{record_id!r}, {path}"


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    """The values of a column, some thousands in memory at a time."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), AT_ONCE):
            yield from chunk.slice(start, AT_ONCE).to_pylist()


def _where(column: pa.ChunkedArray, holds: Callable[[Any], bool]) -> pa.Array:
    """Which values something holds of."""
    return pa.array(np.fromiter(map(holds, _values(column)), dtype=bool, count=len(column)))


def _splits(owners: pa.ChunkedArray, settings: Split, together: Mapping[str, str]) -> pa.Array:
    """The split of each record, by whom it belongs to."""
    coded = owners.combine_chunks().dictionary_encode()
    splits = [
        together.get(subject) or split_of(subject, settings.train, settings.val, settings.salt)
        for subject in coded.dictionary.to_pylist()
    ]
    return pa.array(splits, pa.string()).take(coded.indices)


def _refuse_duplicates(ids: pa.ChunkedArray) -> None:
    if pc.count_distinct(ids, mode="all").as_py() < len(ids):
        counted = ids.value_counts()
        several = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
        raise DataError(f"two records have the id {several[0].as_py()!r}. An id must name one record for good.")


def _refuse_faulty(name: str, column: pa.ChunkedArray) -> None:
    for value in _values(pa.chunked_array([pc.unique(column)])):
        if fault := fault_of_id(value, name):
            raise DataError(f"{fault} is in the raw data: {value!r}. Give it another in the source.")


def _refuse_alike(labels: Mapping[str, int]) -> None:
    """Cat and cat may be two classes, but are mostly one that was written in two ways."""
    written: dict[str, list[str]] = {}
    for label in sorted(labels):
        plain = re.sub(r"[-_\s]+", " ", unicodedata.normalize("NFKC", label).casefold())
        written.setdefault(plain, []).append(f"{label!r} ({labels[label]} records)")
    if alike := [" and ".join(names) for names in written.values() if len(names) > 1]:
        raise DataError(
            f"classes are called alike: {'; '.join(alike[:5])}. Name them the same, or take them as they are with "
            "data.alike_classes=keep."
        )


def _refuse_divided(table: pa.Table) -> None:
    """Raises DataError if a source that decides the splits has a subject in two, or names one that there is not."""
    for split in pc.unique(table[SPLIT]).to_pylist():
        if split not in SPLITS:
            raise DataError(f"the source gives the split {split!r}, which is not train, val or test.")
    pairs = table.select(["subject_id", SPLIT]).group_by(["subject_id", SPLIT]).aggregate([])
    counted = pairs["subject_id"].value_counts()
    several = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
    if len(several):
        subject = several[0].as_py()
        first, second, *_ = pairs.filter(pc.equal(pairs["subject_id"], subject))[SPLIT].to_pylist()
        raise DataError(
            f"the source has records of {subject!r} in {first} and in {second}: a subject is in one split. "
            "Move them, or split again with data.source.splits=pool."
        )


def _check_splits(
    rows: pa.Table, classes: list[str], records: Mapping[str, int], fraction: float, is_given: bool
) -> None:
    if len(classes) == 1:
        raise DataError(f"all records are of one class, {classes[0]!r}: there is nothing to tell apart. Bring another.")
    more = "Raise data.fraction, bring" if fraction < 1 else "Bring"
    for split in SPLITS:
        if is_given and not records[split]:
            raise DataError(
                f"the split {split!r} is empty: the source has no records in it that may be used. Bring some, or split "
                "all again by subject with data.source.splits=pool."
            )
        if not records[split]:
            raise DataError(
                f"the split {split!r} is empty. {more} records of more subjects, or give {split} a larger "
                f"data.split.{split}."
            )
    missing = absent_classes(rows, classes)["train"]
    if missing:
        raise DataError(
            f"no record of class {', '.join(missing)} is in train, so no model could learn it: those used are all in "
            f"val or test. {more} records of more subjects of that class, or take it out of the source."
        )
