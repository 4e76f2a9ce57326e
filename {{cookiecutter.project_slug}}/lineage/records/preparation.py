"""From raw records to the rows and images of a dataset version."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from ..base.errors import DataError, UnreadableImagesError
from ..settings.data import Data, Image
from .dataset import FIELDS, Description, Row
from .ids import fault_of_id
from .images import decode, encode
from .raw import SPLIT
from .selection import is_sampled, split_of

SPLITS = ("train", "val", "test")


def choose(
    table: pa.Table,
    settings: Data,
    consented: frozenset[str] | None,
    unreadable: Collection[str] = (),
    together: Mapping[str, str] | None = None,
) -> tuple[list[Row], Description]:
    """The rows of a dataset version from a table of raw records: consented, sampled, and split by subject.

    `consented` are the subjects whose records may be used; None: all. `unreadable` are records to leave out. `together`
    are splits of subjects that a hash of their own id does not decide. Raises DataError if two records have one id, an
    id or a label cannot be one, two classes are called alike, a subject is in two splits, a split is empty, or a class
    is missing from train.
    """
    raw = table.select(["record_id", "subject_id", "label"]).to_pylist()
    _refuse_duplicates([row["record_id"] for row in raw])
    _refuse_faulty(raw)
    if settings.alike_classes == "refuse":
        _refuse_alike(Counter(row["label"] for row in raw))
    given = _given_splits(table)
    moved = together or {}

    def split(subject: str) -> str:
        if given is not None:
            return given[subject]
        return moved.get(subject) or split_of(subject, settings.split.train, settings.split.val, settings.split.salt)

    chosen = (
        Row(
            subject_id=row["subject_id"],
            record_id=row["record_id"],
            split=split(row["subject_id"]),
            label=row["label"],
        )
        for row in raw
        if (consented is None or row["subject_id"] in consented)
        and row["record_id"] not in unreadable
        and is_sampled(row["record_id"], settings.fraction, settings.sampling.salt)
    )
    rows = sorted(chosen, key=FIELDS)
    # all classes of the source, so that a class keeps its number however few records are used
    classes = sorted({row["label"] for row in raw})
    _check_splits(rows, classes, settings.fraction, given is not None)
    by_hash = "hash, duplicates together" if settings.duplicates == "together" else "hash"
    return rows, Description(
        classes=classes,
        image_size=settings.image.size,
        channels=settings.image.channels,
        background=settings.image.background,
        further_pages=settings.image.further_pages,
        split_by=by_hash if given is None else "source",
        records={split: sum(row.split == split for row in rows) for split in SPLITS},
        subjects={split: len({row.subject_id for row in rows if row.split == split}) for split in SPLITS},
    )


def absent_classes(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, list[str]]:
    """The classes that no record of a split is of, by split."""
    present = {split: {row.label for row in rows if row.split == split} for split in SPLITS}
    return {split: [name for name in classes if name not in present[split]] for split in SPLITS}


def left_out(table: pa.Table, statuses: dict[str, str], consented: frozenset[str]) -> dict[str, float]:
    """How many subjects and records of the raw data the consent registry keeps out, for the report."""
    owners = table["subject_id"].to_pylist()
    kept_out = set(owners) - consented
    return {
        "left_out_records": sum(subject in kept_out for subject in owners),
        "left_out_subjects_revoked": len(kept_out & statuses.keys()),
        "left_out_subjects_unlisted": len(kept_out - statuses.keys()),
    }


class RawImages:
    """The images of a table of raw records, by row."""

    def __init__(self, table: pa.Table, settings: Image) -> None:
        self._images = table["image"]
        self._settings = settings
        self._paths = table["path"] if "path" in table.column_names else table["record_id"]
        self._position = {record: position for position, record in enumerate(table["record_id"].to_pylist())}

    def stored(self, rows: Sequence[Row]) -> list[bytes]:
        """PNG files at the size and in the channels of the settings. Raises UnreadableImagesError, which names all."""
        image = self._settings
        files, reasons = [], {}
        for row, data in zip(rows, self._raw(rows), strict=True):
            try:
                files.append(encode(decode(data, image.size, image.channels, image.background, image.further_pages)))
            except OSError as error:
                reasons[row.record_id] = f"{self._named(row.record_id)} ({error})"
            except MemoryError:
                raise DataError(f"there is not enough memory to decode {self._named(row.record_id)}.") from None
        if reasons:
            raise UnreadableImagesError(reasons)
        return files

    def fingerprint(self, rows: Sequence[Row]) -> str:
        """A hash of all that `stored` depends on beside the code."""
        hashes = [hashlib.sha256(data).hexdigest() for data in self._raw(rows)]
        return hashlib.sha256(json.dumps([self._settings.model_dump(), hashes]).encode()).hexdigest()

    def _named(self, record_id: str) -> str:
        path = self._paths[self._position[record_id]].as_py()
        return repr(record_id) if path == record_id else f"{record_id!r}, {path}"

    def _raw(self, rows: Sequence[Row]) -> list[bytes]:
        return [self._images[self._position[row.record_id]].as_py() for row in rows]


def _refuse_duplicates(ids: list[str]) -> None:
    seen: set[str] = set()
    for record_id in ids:
        if record_id in seen:
            raise DataError(f"two records have the id {record_id!r}. An id must name one record for good.")
        seen.add(record_id)


def _refuse_faulty(raw: list[dict[str, str]]) -> None:
    for name in ("record_id", "subject_id", "label"):
        for value in {row[name] for row in raw}:
            if fault := fault_of_id(value, name):
                raise DataError(f"{fault} is in the raw data: {value!r}. Give it another in the source.")


def _refuse_alike(labels: Counter[str]) -> None:
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


def _given_splits(table: pa.Table) -> dict[str, str] | None:
    """The split of each subject where the source decides it; None where it does not."""
    if SPLIT not in table.column_names:
        return None
    given: dict[str, str] = {}
    for subject, split in zip(table["subject_id"].to_pylist(), table[SPLIT].to_pylist(), strict=True):
        if split not in SPLITS:
            raise DataError(f"the source gives the split {split!r}, which is not train, val or test.")
        if given.setdefault(subject, split) != split:
            raise DataError(
                f"the source has records of {subject!r} in {given[subject]} and in {split}: a subject is in one split. "
                "Move them, or split again with data.source.splits=pool."
            )
    return given


def _check_splits(rows: list[Row], classes: list[str], fraction: float, is_given: bool) -> None:
    if len(classes) == 1:
        raise DataError(f"all records are of one class, {classes[0]!r}: there is nothing to tell apart. Bring another.")
    more = "Raise data.fraction, bring" if fraction < 1 else "Bring"
    for split in SPLITS:
        if is_given and not any(row.split == split for row in rows):
            raise DataError(
                f"the split {split!r} is empty: the source has no records in it that may be used. Bring some, or split "
                "all again by subject with data.source.splits=pool."
            )
        if not any(row.split == split for row in rows):
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
