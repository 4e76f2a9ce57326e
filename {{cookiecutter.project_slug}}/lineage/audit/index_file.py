"""The files of the index of an audit, and what makes them believable.

    root            what the index knows of each dataset version and chunk, with the SHA-256 of all that lies beside it;
                    signed with the user's key (base/hash_cache.py)
    table-<name>    keys of subjects in their order, each with a chunk that the subject is in
    rows-<name>     the rows of chunks, compressed

Each is written once and never changed. What is read of table and rows is hashed before it is looked at. All that the
root says is of contents, by hash: an older root is as true as the newest, it only knows less.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.hash_cache import SIGNED, signature

FOLDER = "index"  # beside the notes of audits
ROOT, LOCK = "root", "lock"
PURPOSE = "what an audit looks subjects up in, 1"  # another number for another form
CHUNK = np.dtype(
    [
        ("identity", "V32"),  # SHA-256 of its rows
        ("sha256", "V32"),  # of the same, compressed
        ("file", "<u4"),  # which of the files of rows
        ("length", "<u4"),  # bytes, compressed
        ("offset", "<u8"),
        ("size", "<u4"),  # bytes
        ("versions", "<u4"),  # which of the sets of dataset versions hold it
    ]
)
ENTRY = np.dtype([("key", "<u8"), ("chunk", "<u4")])
PAGE = np.dtype([("first", "<u8"), ("sha256", "V32")])
ENTRIES = 1024  # of a page of the table

Array = npt.NDArray[Any]


class DamagedIndexError(Exception):
    """Something of the index is not what was written."""


class Version(NamedTuple):
    """What the index knows of a dataset version whose manifest was hashed and compared with its shards."""

    manifest: str  # its MD5
    is_cached: bool  # whether its file is the one in DVC's cache, or one of those kept for audits
    state: list[int]  # of the file when it was hashed
    root: str = ""  # of the Merkle tree, as the manifest states it
    first: str | None = None  # the subject of the first row


@dataclass
class Contents:
    """What the root says."""

    cache: str = ""  # where DVC's cache was
    versions: dict[str, Version] = field(default_factory=dict)  # by dataset version; the number is the place
    files: list[str] = field(default_factory=list)  # of rows
    table: str = ""
    chunks: Array = field(default_factory=lambda: np.zeros(0, CHUNK))
    pages: Array = field(default_factory=lambda: np.zeros(0, PAGE))
    sets: Array = field(default_factory=lambda: np.zeros((0, 0), np.uint8))  # of dataset versions, a bit for each
    signed: str = ""

    @property
    def size(self) -> int:
        """Bytes of all rows, compressed."""
        return int(self.chunks["length"].sum(dtype=np.uint64))


def read_root(folder: Path) -> Contents:
    """What the root in a folder says; nothing if there is none that this user has signed."""
    try:
        data = (folder / ROOT).read_bytes()
    except OSError:
        return Contents()
    signed, body = data[:SIGNED], memoryview(data)[SIGNED:]
    if not hmac.compare_digest(signed, _signature(body).encode()):
        return Contents()
    end = data.index(b"\n", SIGNED) - SIGNED
    head = json.loads(bytes(body[:end]))
    chunks, at = _array(body, end + 1, CHUNK, head["chunks"])
    pages, at = _array(body, at, PAGE, head["pages"])
    versions = {dataset: Version._make(known) for dataset, known in head["versions"].items()}
    sets = np.frombuffer(body, np.uint8, offset=at).reshape(head["sets"])
    return Contents(head["cache"], versions, head["files"], head["table"], chunks, pages, sets, signed.decode())


def write_root(folder: Path, contents: Contents) -> None:
    """Replaces the root, whole or not at all. Raises OSError if it cannot be written."""
    head = {
        "cache": contents.cache,
        "versions": contents.versions,
        "files": contents.files,
        "table": contents.table,
        "chunks": len(contents.chunks),
        "pages": len(contents.pages),
        "sets": contents.sets.shape,
    }
    arrays = (contents.chunks, contents.pages, contents.sets)
    body = b"".join([json.dumps(head).encode(), b"\n", *(array.tobytes() for array in arrays)])
    contents.signed = _signature(body)
    partial = folder / f"{ROOT}.{os.getpid()}.partial"
    partial.write_bytes(contents.signed.encode() + body)
    partial.replace(folder / ROOT)


def write_table(folder: Path, entries: Array) -> tuple[str, Array]:
    """Writes entries, which are in the order of their keys, as a new table. Returns its name and its pages."""
    name = f"table-{secrets.token_hex(8)}"
    starts = range(0, len(entries), ENTRIES)
    parts = [entries[start : start + ENTRIES] for start in starts]
    pages = np.array([(part["key"][0], hashlib.sha256(part.tobytes()).digest()) for part in parts], PAGE)
    with (folder / name).open("wb") as file:
        file.writelines(part.tobytes() for part in parts)
    return name, pages


def read_pages(folder: Path, contents: Contents, numbers: range) -> list[Array]:
    """Some pages of the table. Raises DamagedIndexError if they are not what was written."""
    found = list[Array]()
    if not numbers:
        return found
    with _reading(folder / contents.table) as file:
        for number in numbers:
            file.seek(number * ENTRIES * ENTRY.itemsize)
            data = file.read(ENTRIES * ENTRY.itemsize)
            found.append(np.frombuffer(_checked(data, contents.pages["sha256"][number]), ENTRY))
    return found


def read_rows(folder: Path, contents: Contents, chunk: int) -> tuple[bytes, int]:
    """A chunk, compressed, and its size when it is not. Raises DamagedIndexError if it is not what was written."""
    known = contents.chunks[chunk]
    with _reading(folder / contents.files[int(known["file"])]) as file:
        file.seek(int(known["offset"]))
        return _checked(file.read(int(known["length"])), known["sha256"]), int(known["size"])


def forget(folder: Path) -> None:
    """Makes the next audit start over."""
    with suppress(OSError):
        (folder / ROOT).unlink(missing_ok=True)


def state_of(path: str) -> list[int] | None:
    """What tells a file from what it was before; None if there is none."""
    try:
        stat = os.stat(path)  # noqa: PTH116  for thousands
    except OSError:
        return None
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def tidy(folder: Path, contents: Contents) -> None:
    """Deletes what the root does not name: left by an audit that was killed, or replaced."""
    named = {ROOT, LOCK, contents.table, *contents.files}
    for path in folder.iterdir():
        if path.name not in named:
            with suppress(OSError):  # somebody reads it
                path.unlink()


class _reading:  # noqa: N801  used like open()
    """An open file of the index; one that is gone or cannot be read is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        try:
            self._file = self._path.open("rb", buffering=0)
        except OSError as error:
            raise DamagedIndexError from error
        return self._file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.close()
        if isinstance(error, OSError):
            raise DamagedIndexError from error


def _checked(data: bytes, sha256: Any) -> bytes:
    if hashlib.sha256(data).digest() != bytes(sha256):
        raise DamagedIndexError
    return data


def _signature(body: bytes | memoryview) -> str:
    return signature(PURPOSE, hashlib.sha256(body).hexdigest())


def _array(body: memoryview, at: int, kind: np.dtype[Any], count: int) -> tuple[Array, int]:
    return np.frombuffer(body, kind, count, at), at + count * kind.itemsize
