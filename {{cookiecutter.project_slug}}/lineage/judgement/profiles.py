"""Where a profile comes from: a dataset version, the workspace, a file, or data that no pipeline has seen."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..base.errors import DataError, LineageError
from ..base.workers import processors, work_through
from ..contract import Role
from ..dvc.dvcfile import locked_hash
from ..dvc.hashes import hash_bytes
from ..dvc.recorded import Recorded
from ..proof.case import Evidence
from ..proof.targets import resolve
from ..records.images import open_upright, planes_of
from ..records.profile import Measurer, Profile, Sums, add, profile_from
from ..records.raw import RECORDS
from ..records.table_files import Faults, read_rows
from .captured import find_requests, images_of

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm")
AT_ONCE = 256  # images that one process measures at a time
ALL = "data"  # the one split of data that nobody has divided
SHOWN = 3
NO_PROFILE = "has no profile: the stage that made it wrote none. Let it write one, run `dvc repro`, then ask again"


def of_workspace(root: Path) -> tuple[str, Profile]:
    """What the last preprocess here has written.

    Raises LineageError if there is nothing, or what lies here is not that, by its hash in dvc.lock.
    """
    recorded = Recorded.here(root)
    path = recorded.pipeline.profile_of(recorded.pipeline.path(Role.DATASET) or "")
    if path is None:
        raise LineageError(
            "in dvc.yaml, the stage that makes the dataset of the training makes nothing with the role profile, so "
            "there is nothing to compare with."
        )
    if not (root / path).is_file():
        raise LineageError(f"{path} is missing. `dvc repro` makes it, `dvc pull` brings it from the remote.")
    data, written = (root / path).read_bytes(), locked_hash(recorded.entry(Role.DATASET), "outs", path)
    if written is None:
        raise LineageError(f"dvc.lock records no {path}: what made it did not end. Run `dvc repro`.")
    if written != hash_bytes(data, path).md5:
        raise LineageError(
            f"{path} is not the one that dvc.lock records ({written}): it was edited, or is of another commit. "
            f"`dvc checkout --force {path}` brings that one back, `dvc repro` makes it."
        )
    return f"{path} here", _read(data, path)


def of_target(evidence: Evidence, asked: str) -> tuple[str, Profile]:
    """The profile of the dataset version behind a model version, a run, a hash, a revision; or a profile.json itself.

    Raises LineageError if there is none, or more than one is meant.
    """
    path = Path(asked)
    if path.is_file() and path.suffix == ".json":
        with suppress(LineageError):  # a file of another kind may have the name of a branch
            return asked, _read(path.read_bytes(), asked)
    target = resolve(evidence, asked)
    datasets = {case.dataset for case in target.cases} - {""}
    if not datasets and target.commit:
        recorded = evidence.history.at(target.commit).recorded
        datasets = {md5 for md5 in (recorded.made(Role.DATASET),) if md5}
    if len(datasets) != 1:
        raise LineageError(
            f"{asked} leads to {len(datasets)} dataset versions. Name a model version, or the hash of one."
        )
    (dataset,) = datasets
    commits = [target.commit] if target.commit else []
    for commit in [*commits, *evidence.history.commits_holding(dataset)]:
        if md5 := evidence.history.at(commit).recorded.profile_of(dataset):
            return asked, _read(evidence.objects.read(md5), f"the profile of {asked}")
    if md5 := Recorded.here(evidence.root).profile_of(dataset):  # not committed yet
        return asked, _read(evidence.objects.read(md5), f"the profile of {asked}")
    raise LineageError(f"the dataset version {dataset} of {asked} {NO_PROFILE}.")


def _read(data: bytes, name: str) -> Profile:
    try:
        return Profile.from_json(data)
    except ValueError as error:
        raise LineageError(f"{name} cannot be read: {error}.") from None


@dataclass
class Measured:
    """Images that no pipeline has prepared, measured as preprocess measures them."""

    profile: Profile
    names_subjects: bool  # else each image counts as one, and how many people they are of is unknown
    unreadable: dict[str, str] = field(default_factory=dict)  # why, by path or record_id
    said: list[str] = field(default_factory=list)  # what was left out


def of_data(place: Path, like: Profile, missing: str | None = None) -> Measured:
    """The profile of a folder of images, of a table (CSV or Parquet, with a column `path`), or of raw records.

    Or of a folder of requests that SageMaker has captured: see captured.py.

    Images are brought to pixels as those of the profile `like`. In a folder, the first folder of an image is its class
    where that is a class of `like`. A table may have label, subject_id, and the further columns of `like`; an empty
    value in these is `missing` (data.missing_value), as in a dataset version. Raises DataError if there are no images,
    or the table cannot be right.
    """
    columns = [*dict.fromkeys(name for each in like.splits.values() for name in each["columns"])]
    if place.is_dir() and (place / RECORDS).is_file():
        place = place / RECORDS
    said: list[str] = []
    names_subjects = not place.is_dir()
    if place.is_dir():
        rows, tasks = _of_folder(place, like, said)
    elif place.suffix.lower() == ".parquet" and "image" in _columns_of(place):
        rows, tasks = _of_records(place, columns)
    elif place.suffix.lower() in (".csv", ".parquet"):
        rows, tasks = _of_table(place, columns)
        names_subjects = "subject_id" in _columns_of(place) and not rows["subject_id"].null_count
    else:
        raise DataError(
            f"{place} is no folder, no .csv and no .parquet file{'' if place.exists() else ': it is not there'}."
        )
    rows = _filled(rows, columns, missing)
    sums, unreadable = Sums(), dict[str, str]()
    for more, wrong in work_through(partial(_measure, like.image), tasks, processors()):
        add(sums, more)
        unreadable |= wrong
    read = rows.filter(pa.array([name not in unreadable for name in rows["name"].to_pylist()], pa.bool_()))
    kept = [name for name in columns if name in rows.column_names]
    return Measured(profile_from(read, sums, like.image, kept), names_subjects, unreadable, said)


def _filled(rows: pa.Table, columns: Sequence[str], missing: str | None) -> pa.Table:
    for name in columns:
        if missing is not None and name in rows.column_names:
            filled = pa.array([text or missing for text in rows[name].to_pylist()], pa.string())
            rows = rows.set_column(rows.column_names.index(name), name, filled)
    return rows


def _measure(image: Mapping[str, Any], task: Sequence[tuple[str, Any]]) -> tuple[Sums, dict[str, str]]:
    """Of images by name, each as bytes or as the path of a file."""
    measurer, wrong = Measurer(), dict[str, str]()
    for name, source in task:
        try:
            data = source.read_bytes() if isinstance(source, Path) else source
            upright = open_upright(data, image["channels"], image["background"], image["further_pages"])
            measurer.add(ALL, upright.size, planes_of(upright, image["size"]))
        except OSError as error:
            wrong[name] = error.strerror or str(error)
    return measurer.sums, wrong


def _of_folder(folder: Path, like: Profile, said: list[str]) -> tuple[pa.Table, Iterator[Sequence[tuple[str, Any]]]]:
    files = sorted(path for path in folder.rglob("*") if not _is_hidden(path, folder) and path.is_file())
    images = [path for path in files if path.suffix.lower() in ENDINGS]
    if not images and (requests := find_requests(folder, said)):
        kept = [name for request in requests for name in request.names]
        return _rows(kept, kept, [None] * len(kept), {}), images_of(requests)
    if not images:
        raise DataError(f"there are no images in {folder}.")
    if others := len(files) - len(images):
        said.append(f"files that are no images, left out: {others}")
    names = [path.relative_to(folder).as_posix() for path in images]
    classes = {name for each in like.splits.values() for name in each["classes"]}
    labels: list[str | None] = [name.split("/")[0] if "/" in name else None for name in names]
    if not classes.intersection(filter(None, labels)):
        labels = [None] * len(names)
    return _rows(names, names, labels, {}), _some(names, images)


def _some(names: Sequence[str], paths: Sequence[Path]) -> Iterator[Sequence[tuple[str, Any]]]:
    """Files by name, some at a time."""
    for start in range(0, len(names), AT_ONCE):
        yield list(zip(names[start : start + AT_ONCE], paths[start : start + AT_ONCE], strict=True))


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _of_records(file: Path, columns: Sequence[str]) -> tuple[pa.Table, Iterator[Sequence[tuple[str, Any]]]]:
    there = pq.read_schema(file).names
    if missing := [name for name in ("record_id", "subject_id", "label") if name not in there]:
        raise DataError(f"{file} has images, and no column {missing[0]}. It must be as raw records are.")
    kept = [name for name in columns if name in there]
    table = pq.read_table(file, columns=["record_id", "subject_id", "label", *kept])
    if not table.num_rows:
        raise DataError(f"{file} has no rows.")

    def tasks() -> Iterator[Sequence[tuple[str, Any]]]:
        with pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as opened:
            for batch in opened.iter_batches(AT_ONCE // 4, columns=["record_id", "image"]):
                yield list(zip(batch["record_id"].to_pylist(), batch["image"].to_pylist(), strict=True))

    further = {name: table[name].to_pylist() for name in kept}
    records, subjects, labels = (table[name].to_pylist() for name in ("record_id", "subject_id", "label"))
    return _rows(records, subjects, labels, further), tasks()


def _of_table(file: Path, columns: Sequence[str]) -> tuple[pa.Table, Iterator[Sequence[tuple[str, Any]]]]:
    data, faults = _bytes_of(file), Faults.of(file.name)
    there = _columns_of(file)
    wanted = [
        name for name in dict.fromkeys(("path", "subject_id", "label", *columns)) if name in there or name == "path"
    ]
    found = {name: list[Any]() for name in wanted}
    paths = []
    for number, *values in read_rows(data, file.name, tuple(wanted), faults):
        for name, value in zip(wanted, values, strict=True):
            found[name].append(value or None)
        path = file.parent / str(found["path"][-1])
        paths.append(path)
        if not path.is_file():
            faults.add(f"no file at a path (it begins in {file.parent})", number)
    if not paths and not faults.rows:
        faults.add("it has no rows")
    if faults.rows:
        raise DataError(f"the table {file} is refused: {faults}.")
    names = found.pop("path")
    subjects, labels = found.pop("subject_id", names), found.pop("label", [None] * len(names))
    return _rows(names, subjects, labels, found), _some(names, paths)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}.") from None


def _columns_of(file: Path) -> list[str]:
    if file.suffix.lower() == ".parquet":
        try:
            return list(pq.read_schema(file).names)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} cannot be read: {str(error).splitlines()[0]}.") from None
    return next(csv.reader(io.StringIO(_bytes_of(file).decode("utf-8-sig", "replace"), newline="")), [])


def _rows(names: list[Any], subjects: list[Any], labels: list[Any], further: Mapping[str, list[Any]]) -> pa.Table:
    columns = {"name": names, "subject_id": subjects, "label": labels, **further}
    texts = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return pa.table({**texts, "split": pa.array([ALL] * len(names), pa.string())})
