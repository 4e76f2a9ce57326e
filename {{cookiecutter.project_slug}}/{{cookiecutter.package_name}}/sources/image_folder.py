"""One's own images: a tree `class/name.ext`, or a table of them, in a folder or below an s3:// prefix.

Without a table, the first folder of an image is its label, and its whole path is its id: an image that is moved to
another class is another record. With one, ids, subjects and labels are what the table says, and images may be moved.
Folders that are called train, val and test are what data.source.splits says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from lineage.base.errors import DataError
from lineage.records.ids import fault_of_id, normalize_nfc
from lineage.records.raw import RAW_SCHEMA, RECORDS, SPLIT, with_columns
from lineage.records.s3 import CONNECTIONS
from lineage.records.table_files import Faults, read_rows

from ..settings import ImageFolderSource
from . import SourceContext, no_columns
from .places import CHANGED, Files, open_files
from .split_folders import UNCLEAR, level_of_splits, split_named

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
COLUMNS = ("record_id", "subject_id", "label", "path")
SCHEMA = RAW_SCHEMA.append(pa.field("path", pa.string(), nullable=False))  # for people who look for the file
AT_ONCE = 64  # images in memory
SHOWN = 3  # that a message names
CLASSES_SHOWN = 20
FOLDERS_MEAN = (
    "Choose with data.source.splits: keep uses them as splits, pool ignores them and splits by subject, ignore treats "
    "them as ordinary folders"
)
COLUMN_MEANS = "Choose with data.source.splits: keep uses it as the splits, pool and ignore leave it alone"


@dataclass(frozen=True, order=True)
class Entry:
    """One record, but for its image and its further columns."""

    record_id: str
    subject_id: str
    label: str
    path: str
    split: str = ""  # where the source decides it
    further: tuple[str | None, ...] = ()  # values of the further columns that data.columns names


def fingerprint(settings: ImageFolderSource, context: SourceContext) -> dict[str, Any]:
    """A hash over all records and the content of their files; without names, which may be personal."""
    files = open_files(settings.path, context.root, context.cache_dir)
    entries = _entries(settings, files, context.columns)
    return _summary(entries, files.marks([entry.path for entry in entries]))


def fetch(settings: ImageFolderSource, context: SourceContext) -> None:
    """Writes records.parquet. Raises DataError if there are no images, or what is there is not what was listed."""
    files = open_files(settings.path, context.root, context.cache_dir)
    entries, marks = _entries(settings, files, context.columns), {}
    schema = SCHEMA.append(pa.field(SPLIT, pa.string(), nullable=False)) if settings.splits == "keep" else SCHEMA
    schema = with_columns(schema, context.columns)
    batches = [entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE)]
    with (
        pq.ParquetWriter(context.folder / RECORDS, schema, compression="none") as writer,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        for batch in track(batches, "fetching", console=Console(stderr=True)):
            rows = []
            for entry, (image, mark) in zip(batch, pool.map(files.read, [entry.path for entry in batch]), strict=True):
                rows.append({**vars(entry), **dict(zip(context.columns, entry.further, strict=True)), "image": image})
                marks[entry.path] = mark
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    # a folder that DVC versions is hashed by dvc once this is done: what changed meanwhile would count as read
    expected = fingerprint(settings, context) if context.listing is None else json.loads(context.listing.read_text())
    if expected != _summary(entries, marks):
        raise DataError(f"{files.name} {CHANGED}.")
    _tell(entries, files, settings.table is None)


def _tell(entries: list[Entry], files: Files, is_tree: bool) -> None:
    """Prints what was found, and what was not taken."""
    classes = Counter(entry.label for entry in entries)
    shown = [f"{name} {count}" for name, count in sorted(classes.items())[:CLASSES_SHOWN]]
    more = [f"and {len(classes) - CLASSES_SHOWN} more"] if len(classes) > CLASSES_SHOWN else []
    said = f"{len(entries)} records of {len(classes)} classes ({', '.join([*shown, *more])}) from {files.name}."
    if is_tree and (others := _no_images(files)):
        said += f" Left out: {others}."
    if files.passed_by:
        names = ", ".join(f"{count} {name}" for name, count in files.passed_by.most_common())
        said += f" Passed by, as files and folders of devices and systems: {names}."
    print(said)


def _summary(entries: list[Entry], marks: dict[str, str]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for entry in entries:
        *said, further = vars(entry).values()
        digest.update(json.dumps([*said, *further, marks[entry.path]]).encode() + b"\n")
    return {"records": len(entries), "sha256": digest.hexdigest()}


def _entries(settings: ImageFolderSource, files: Files, columns: tuple[str, ...]) -> list[Entry]:
    """All records, sorted by their ids. Raises DataError if there are none, or one of them cannot be right."""
    if settings.table is None and columns:
        raise no_columns("a folder of images", columns, "Write a table with it and name that in data.source.table")
    found = _of_tree(settings, files) if settings.table is None else _of_table(settings, settings.table, files, columns)
    return sorted(found, key=lambda entry: entry.record_id)


def _of_tree(settings: ImageFolderSource, files: Files) -> list[Entry]:
    paths = [path for path in files.paths() if PurePosixPath(path).suffix.lower() in ENDINGS]
    if not paths:
        others = _no_images(files)
        raise DataError(
            f"there are no images in {files.name}, {f'only {others}' if others else 'nor anything else'}. It must hold "
            f"a folder for each class, with images in it ({', '.join(ENDINGS)})."
        )
    found = _classes_and_splits(paths, settings.splits, files)
    _refuse(
        [path for path in paths if not found[path][0]],
        f"without a class directly in {files.name}",
        "Move each into a folder of its class, or name a table in data.source.table",
    )
    wrong = [path for path in paths if fault_of_id(path, "path") or fault_of_id(found[path][0], "class")]
    _refuse(
        wrong,
        f"in {files.name} whose path has a line break, an invisible character, blanks around it, or no valid letters",
        "Rename the files",
    )
    subjects = {path: _subject(settings.subject, path) for path in paths}
    _refuse(
        [path for path in paths if fault_of_id(subjects[path], "subject")],
        f"in {files.name} in whose path data.source.subject finds nothing",
        "Change the expression or the paths",
    )
    return [Entry(path, str(subjects[path]), found[path][0], path, found[path][1]) for path in paths]


def _classes_and_splits(paths: list[str], splits: str, files: Files) -> dict[str, tuple[str, str]]:
    """The class and the split of each image, from the folders it lies in; empty texts where there is none."""
    tree = {path: path.split("/") for path in paths}
    level = None if splits == "ignore" else level_of_splits(list(tree.values()))
    if splits == "keep" and level is None:
        raise DataError(f"there are no folders train, val and test in {files.name}, for data.source.splits=keep.")
    if level is None:
        return {path: (parts[0] if len(parts) > 1 else "", "") for path, parts in tree.items()}
    named = {path: split_named(parts[level]) if len(parts) > level + 1 else None for path, parts in tree.items()}
    if splits == "refuse":
        folders = sorted({parts[level] for path, parts in tree.items() if named[path]})
        shown = ", ".join(map(repr, folders[:CLASSES_SHOWN]))
        raise DataError(f"the folders {shown} in {files.name} look like splits. {FOLDERS_MEAN}.")
    if splits == "keep":
        _refuse(
            [path for path, split in named.items() if split in (None, UNCLEAR)],
            f"in {files.name} in no folder that is clearly train, val or test",
            "Move or rename, or set data.source.splits",
        )
    found = {}
    for path, parts in tree.items():
        folders = [*parts[:level], *parts[level + 1 : -1]] if named[path] else parts[:-1]
        found[path] = (folders[0] if folders else "", str(named[path]) if splits == "keep" else "")
    return found


def _no_images(files: Files) -> str:
    """How many files of a tree are no images, and of what kinds; empty if all are."""
    kinds = Counter(PurePosixPath(path).suffix.lower() for path in files.paths())
    others = {kind or "without an ending": count for kind, count in kinds.most_common() if kind not in ENDINGS}
    if not others:
        return ""
    count, shown = sum(others.values()), ", ".join(f"{count} {kind}" for kind, count in others.items())
    return f"{count} file{'s' * (count > 1)} that {'are no images' if count > 1 else 'is no image'} ({shown})"


def _subject(expression: str | None, path: str) -> str | None:
    if expression is None:
        return path
    found = re.search(expression, path)
    return found[1] if found else None


def _refuse(paths: list[str], what: str, fix: str) -> None:
    if paths:
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        shown = ", ".join(map(repr, sorted(paths)[:SHOWN]))
        raise DataError(f"{len(paths)} image{'s' * (len(paths) > 1)} {what}: {shown}{more}. {fix}.")


def _of_table(settings: ImageFolderSource, name: str, files: Files, further: tuple[str, ...]) -> list[Entry]:
    there, faults = set(files.paths()), Faults.of(name)
    if name not in there:
        raise DataError(f"there is no {name!r} in {files.name}. data.source.table is a file below data.source.path.")
    data, _ = files.read(name)
    first: dict[str, int] = {}
    entries = []
    try:
        columns = _columns(settings.splits, data, name)
        for number, *fields in read_rows(data, name, (*columns, *further), faults):
            fields = [*map(normalize_nfc, fields)]
            record_id, subject_id, label, path, *splits = fields[: len(columns)]
            more = tuple(value or None for value in fields[len(columns) :])
            split = split_named(splits[0] or "") if splits else ""
            if split in (None, UNCLEAR):
                faults.add("a split that is not train, val or test", number)
            entry = Entry(record_id, subject_id, label, path or "", split or "", more)
            for column, value in zip(further, more, strict=True):
                if value is not None and (fault := fault_of_id(value, column)):
                    faults.add(fault, number)
            for fault in filter(None, (fault_of_id(getattr(entry, column), column) for column in COLUMNS)):
                faults.add(fault, number)
            if entry.path and entry.path not in there:
                faults.add(f"no file at a path (it has / for \\ and begins below {files.name})", number)
            if record_id in first:
                faults.add("a record_id for the second time", f"{number} (as in {first[record_id]})")
            first.setdefault(record_id, number)
            entries.append(entry)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # what a damaged Parquet file raises
        raise DataError(f"the table {name} in {files.name} cannot be read: {str(error).splitlines()[0]}.") from None
    if not entries and not faults.rows:
        faults.add("it has no rows")
    if faults.rows:
        raise DataError(f"the table {name} in {files.name} is refused: {faults}. Correct it; until then no row counts.")
    return entries


def _columns(splits: str, data: bytes, name: str) -> tuple[str, ...]:
    """The columns to read. Raises DataError if the table has a column `split`, and nobody has said what it means."""
    if splits == "keep":
        return (*COLUMNS, SPLIT)
    if splits == "refuse":
        faults = Faults.of(name)
        next(read_rows(data, name, (SPLIT,), faults), None)
        if not faults.rows:
            raise DataError(f"the table {name} has a column {SPLIT}. {COLUMN_MEANS}.")
    return COLUMNS
