"""Files below a folder of this machine or an s3:// prefix: which there are, what they hold, whether they changed.

A path is relative to that folder, with slashes, and in Unicode's composed form (NFC): macOS and others write the same
name in different ways.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lineage.base.errors import DataError
from lineage.base.hash_cache import HashCache
from lineage.base.project import path_at
from lineage.records import s3
from lineage.records.ids import normalize_nfc

# what network drives, operating systems and archives keep for themselves beside people's files, in small letters
OF_SYSTEMS = {
    *("@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "~snapshot"),
    *("$recycle.bin", "system volume information", "lost+found", "network trash folder", "temporary items"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "__pycache__"),
}
CHANGED = "changed while it was read. Run this again when nothing writes there"


class Files(Protocol):
    """The files of a source."""

    name: str  # of the place, for people
    passed_by: Counter[str]  # files and folders that are nobody's records, by their names

    def paths(self) -> list[str]:
        """All files, in any order. What the operating system hides or leaves lying about is left out."""

    def marks(self, paths: list[str]) -> dict[str, str]:
        """By path what changes when the content of a file does: its SHA-256, or what S3 says of it."""

    def read(self, path: str) -> tuple[bytes, str]:
        """The content of a file, and the mark of just that."""


def open_files(address: str, root: Path, kept: Path) -> Files:
    """The files at `address`: a folder, relative to `root`, or an s3:// prefix. Raises DataError if there is none."""
    if address.startswith("s3://"):
        return Bucket(address)
    return Folder(path_at(address, root), HashCache(kept / "hashes.json", "sha256"))


class Folder:
    """The files of a folder of this machine. Links are followed."""

    def __init__(self, folder: Path, hashes: HashCache) -> None:
        self.name = str(folder)
        self.passed_by: Counter[str] = Counter()
        self._hashes = hashes
        self._found: dict[str, Path] = {}
        if not folder.is_dir():
            raise DataError(
                f"{folder} {'is no folder' if folder.exists() else 'does not exist'}. Check the path, or go on from "
                "the records that DVC has: `dvc pull`, then `dvc repro --downstream preprocess`."
            )
        for path in self._walk(folder, [folder.resolve()]):
            name = normalize_nfc(path.relative_to(folder).as_posix())
            if name in self._found:
                raise DataError(f"{name!r} is there twice in {folder}, in two ways of writing it. Rename one of them.")
            self._found[name] = path

    def paths(self) -> list[str]:
        return list(self._found)

    def marks(self, paths: list[str]) -> dict[str, str]:
        found = {path: self._mark(path) for path in paths}
        self._hashes.save()
        return found

    def read(self, path: str) -> tuple[bytes, str]:
        with self._reading(path):
            data = self._found[path].read_bytes()
        return data, f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _mark(self, path: str) -> str:
        with self._reading(path):
            return f"sha256:{self._hashes.of(self._found[path])}"

    def _walk(self, folder: Path, above: list[Path]) -> Iterator[Path]:
        with self._reading(str(folder)):
            entries = sorted(folder.iterdir())
        for path in entries:
            if is_of_system(path.name):
                self.passed_by[_kind(path.name)] += 1
                continue
            if path.is_dir():
                true = path.resolve()
                if true in above:
                    raise DataError(f"{path} is a link to a folder that it lies in. Remove it.")
                yield from self._walk(path, [*above, true])
            elif path.is_symlink() and not path.exists():  # it may have led to the folder of a whole class
                raise DataError(f"{path.name!r} in {path.parent} is a link that leads nowhere. Repair or remove it.")
            else:
                yield path

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DataError(f"{path!r} in {self.name} cannot be read: {reason}. Repair or remove it.") from None


class Bucket:
    """The objects below a prefix in S3. A mark is the ETag, which S3 makes again whenever an object is written."""

    def __init__(self, address: str) -> None:
        self.name = address
        self.passed_by: Counter[str] = Counter()
        self._bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        self._etags: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        with self._asking():
            self._client = s3.client()
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            for item in (item for page in pages for item in page.get("Contents", [])):
                self._add(item["Key"], item["ETag"].strip('"'))

    def paths(self) -> list[str]:
        return list(self._keys)

    def marks(self, paths: list[str]) -> dict[str, str]:
        return {path: f"etag:{self._etags[path]}" for path in paths}

    def read(self, path: str) -> tuple[bytes, str]:
        with self._asking(path):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._keys[path], IfMatch=self._etags[path])
            data: bytes = answer["Body"].read()
        return data, f"etag:{self._etags[path]}"

    def _add(self, key: str, etag: str) -> None:
        path = normalize_nfc(key.removeprefix(self._prefix))
        foreign = next(filter(is_of_system, path.split("/")), None)
        if foreign is not None:
            self.passed_by[_kind(foreign)] += 1
            return
        if path.endswith("/"):
            return  # what the console makes for a folder
        if path in self._keys:
            raise DataError(f"{path!r} is there twice in {self.name}, in two ways of writing it. Rename one of them.")
        self._keys[path], self._etags[path] = key, etag

    @contextmanager
    def _asking(self, path: str = "") -> Iterator[None]:
        """Turns every error into a DataError that says what could not be read, why, and what to look at."""
        what = f"{path!r} in {self.name}" if path else self.name
        try:
            yield
        except DataError:
            raise
        except Exception as error:  # the classes of botocore and urllib3 have nothing in common
            answer: dict[str, Any] = getattr(error, "response", None) or {}
            if answer.get("Error", {}).get("Code") in ("PreconditionFailed", "NoSuchKey"):
                raise DataError(f"{what} {CHANGED}.") from None
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(". ")
            check = "Check the address, the region and the credentials"
            raise DataError(f"{what} could not be read: {reason}. {check}.") from None


def is_of_system(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or is what devices and systems keep for themselves."""
    return name.startswith(".") or name.lower() in OF_SYSTEMS


def _kind(name: str) -> str:
    return "hidden" if name.startswith(".") else name
