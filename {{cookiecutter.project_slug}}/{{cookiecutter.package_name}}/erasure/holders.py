"""Which objects hold bytes of some subjects: looked for in what is stored, not in what a manifest says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..audit.scope import Scope
from ..data.dataset import MANIFEST, SHARDS
from ..data.raw import RECORDS
from ..errors import LineageError
from ..lineage.facts import DATASET, RAW
from ..pipeline.dvcfile import locked_hash, read_lock
from ..proof.case import Evidence
from ..proof.erasures import FOLDER

TABLES = (".parquet", ".csv")


@dataclass(frozen=True)
class Holder:
    """An object of DVC that holds bytes of the subjects."""

    md5: str
    path: str  # in the project
    folder: str  # the dataset version or raw data that it belongs to, by hash


class Holders:
    """All objects, of any commit and of the workspace, that hold bytes of the subjects."""

    def __init__(self, evidence: Evidence, ids: list[str]) -> None:
        self._evidence = evidence
        self._ids = ids
        self._seen: dict[str, bool] = {}
        self.unknown: list[str] = []  # what could not be looked into

    @cached_property
    def found(self) -> list[Holder]:
        """Each object once for each folder that it is in."""
        return [holder for path, md5 in sorted(self._folders) for holder in self._in_folder(path, md5)]

    @property
    def datasets(self) -> list[str]:
        """The dataset versions that hold the subjects."""
        return sorted({h.folder for h in self.found if h.path.startswith(f"{DATASET}/")})

    @cached_property
    def _folders(self) -> set[tuple[str, str]]:
        """Path and hash of every dataset version, raw data and redacted manifests that there ever were."""
        history = self._evidence.history
        commits = {state.commit for state in history.states}
        locks = [read_lock(self._evidence.root), *(history.lock(commit) for commit in commits)]
        folders = {(DATASET, md5) for md5 in Scope(self._evidence).datasets}
        for lock in locks:
            entry = lock.get("preprocess")
            folders |= {
                (RAW, str(locked_hash(entry, "deps", RAW))),
                (DATASET, str(locked_hash(entry, "outs", DATASET))),
            }
        for commit in commits:
            folders |= {
                (path, md5)
                for path, md5 in history.added(commit).items()
                if path == RAW or path.startswith(f"{FOLDER}/")
            }
        folders |= {(RAW, run.data.tags.get("dvc_raw_md5", "None")) for run in self._evidence.store.runs.values()}
        return {(path, md5) for path, md5 in [*folders, *self._cached] if md5 != "None"}

    @property
    def _cached(self) -> Iterator[tuple[str, str]]:
        """What the cache holds of results that neither a commit nor a run names: of a fetch after which all failed."""
        for md5 in self._evidence.objects.cached_folders():
            with suppress(LineageError):  # one that is damaged tells nothing
                names = self._evidence.objects.listing(md5)
                yield from ((path, md5) for path, name in ((RAW, RECORDS), (DATASET, MANIFEST)) if name in names)

    def _in_folder(self, path: str, md5: str) -> Iterator[Holder]:
        try:
            listing = self._evidence.objects.listing(md5) if md5.endswith(".dir") else {"": md5}
        except LineageError as error:
            self.unknown.append(f"{path} {md5}: {error}")
            return
        for name, file in listing.items():
            if path == DATASET and name != MANIFEST and not name.startswith(f"{SHARDS}/"):
                continue
            if self._holds(name or path, file):
                yield Holder(file, f"{path}/{name}".rstrip("/"), md5)

    def _holds(self, name: str, md5: str) -> bool:
        if md5 in self._seen:
            return self._seen[md5]
        if self._evidence.objects.is_nowhere(md5):
            found = False  # erased before, or lost: there are no bytes here
            if self._evidence.erasures.of_object(md5) is None:
                self.unknown.append(f"{name} ({md5}) is neither in the cache nor in the remote")
        else:
            with self._evidence.objects.open(md5) as file:
                found = holds(name, file, self._ids)
        self._seen[md5] = found
        return found


def holds(name: str, file: Any, ids: list[str]) -> bool:
    """Whether a file names any of the subjects: a Parquet file in its column subject_id, any other as a word."""
    import pyarrow.parquet as pq

    if name.endswith(".parquet") and "subject_id" in pq.read_schema(file).names:
        file.seek(0)
        return bool(pq.read_table(file, columns=["subject_id"], filters=[("subject_id", "in", ids)]).num_rows)
    file.seek(0)
    words = b"|".join(re.escape(subject_id.encode()) for subject_id in ids)
    return re.search(rb"(?<!\w)(?:" + words + rb")(?!\w)", file.read()) is not None


def files_that_hold(folder: Path, ids: list[str]) -> Iterator[Path]:
    """The tables below a folder of this machine that hold any of the subjects."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.suffix not in TABLES or not path.is_file():
            continue
        with path.open("rb") as file:
            if holds(path.name, file, ids):
                yield path
