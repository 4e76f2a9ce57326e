"""Dataset versions added to the index: of each manifest all rows are read once, and what is new of them is written.

One audit at a time adds; another one at the same time answers without. The root is replaced last, so that whoever is
killed before leaves the index as it was.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from ..records.layout import ROOT_KEY
from .chunks import SUBJECT, chunks_of, identity_of, keys_of, pack
from .index_file import (
    CHUNK,
    ENTRY,
    LOCK,
    Contents,
    DamagedIndexError,
    Version,
    forget,
    read_pages,
    read_root,
    state_of,
    tidy,
    write_root,
    write_table,
)

LIMIT = 2**31  # bytes of rows, compressed: what does not fit is looked up in its manifest
FILES = 32  # of rows: more are made one
EACH = 100  # dataset versions after which what was done is kept


class Builder:
    """Adds to the index in a folder. Where nothing can be written, or another audit adds, it does nothing."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder = folder
        self._cache = str(cache)
        self._held = ExitStack()  # the lock, and the file that is written
        self._is_open = False

    def __enter__(self) -> Builder:
        with suppress(OSError, Timeout):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(FileLock(self._folder / LOCK, timeout=0))
            self._is_open = True
            self._begin(read_root(self._folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if kind is None:
                self._save()

    def make_room(self, wanted: Iterable[str], never: Iterable[str]) -> None:
        """Starts over if it is full of dataset versions that nobody asks for, or holds one that it never may."""
        known = self._versions.keys() if self._is_open else set[str]()
        if known & set(never) or (known - set(wanted) and self._is_full):
            self._begin(Contents())
            self._has_changed = True

    def add(self, dataset: str, path: Path, version: Version) -> None:
        """Adds a dataset version whose manifest at `path` had the right hash when its file was in the state given.

        `version` says that; what the manifest itself states is filled in.
        """
        if not self._is_open:
            return
        known = self._versions.get(dataset)
        try:
            if known is not None and known.manifest == version.manifest:  # the same bytes in another file
                if state_of(str(path)) == version.state:
                    self._versions[dataset] = version._replace(root=known.root, first=known.first)
                    self._has_changed = True
            elif known is None and not self._is_full:
                self._read(dataset, path, version)
                if len(self._versions) % EACH == 0:
                    self._save()
        except ValueError:  # it is not what manifests are: it is asked itself
            return
        except OSError:
            self._is_open = False

    @property
    def _is_full(self) -> bool:
        return self._size >= LIMIT

    def _begin(self, contents: Contents) -> None:
        """Goes on from what a root says."""
        self._contents = contents
        self._versions = dict(contents.versions)
        if contents.cache != self._cache:  # the files are others
            self._versions = {dataset: version._replace(state=[]) for dataset, version in self._versions.items()}
        self._chunks = {chunk["identity"].tobytes(): number for number, chunk in enumerate(contents.chunks)}
        sets = [int.from_bytes(held.tobytes(), "little") for held in contents.sets]
        self._held_by = [sets[number] for number in contents.chunks["versions"]]  # a bit for each dataset version
        self._new: list[tuple[bytes, bytes, int, int, int, int, int]] = []
        self._entries: list[tuple[int, int]] = []
        self._files, self._size, self._has_changed = list(contents.files), contents.size, False
        self._file: IO[bytes] | None = None

    def _read(self, dataset: str, path: Path, version: Version) -> None:
        first, chunks = None, list[int]()
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            root = (file.schema_arrow.metadata or {}).get(ROOT_KEY, b"").decode()
            for batch in chunks_of(file):
                first = batch.column(SUBJECT)[0].as_py() if first is None else first
                chunks.append(self._chunk(batch))
        if state_of(str(path)) != version.state:  # it was changed while it was read
            return
        for chunk in dict.fromkeys(chunks):
            self._held_by[chunk] |= 1 << len(self._versions)
        self._versions[dataset] = version._replace(root=root, first=first)
        self._has_changed = True

    def _chunk(self, batch: pa.RecordBatch) -> int:
        """The number of a chunk, which is written if it is new."""
        identity = identity_of(batch)
        number = self._chunks.get(identity)
        if number is None:
            keys, (data, size) = keys_of(batch), pack(batch)
            if self._file is None:
                self._files.append(f"rows-{secrets.token_hex(8)}")
                self._file = self._held.enter_context((self._folder / self._files[-1]).open("xb"))
            place = (len(self._files) - 1, len(data), self._file.tell())
            self._file.write(data)
            self._size += len(data)
            number = self._chunks[identity] = len(self._chunks)
            self._new.append((identity, hashlib.sha256(data).digest(), *place, size, 0))
            self._held_by.append(0)
            self._entries += [(key, number) for key in keys]
        return number

    def _save(self) -> None:
        """Writes down what was added, for the audits to come, if it can be written."""
        if not self._is_open or not self._has_changed:
            return
        try:
            contents = self._written()
            write_root(self._folder, contents)
            self._begin(contents)
            tidy(self._folder, contents)
        except DamagedIndexError:  # the next audit starts over
            forget(self._folder)
            self._is_open = False
        except OSError:
            self._is_open = False

    def _written(self) -> Contents:
        """What the root is to say. Table and rows are written before it."""
        before = self._contents
        if self._file is not None:
            self._file.close()
        chunks = np.concatenate([before.chunks, np.array(self._new, CHUNK)])
        sets = {held: number for number, held in enumerate(dict.fromkeys(self._held_by))}
        chunks["versions"] = [sets[held] for held in self._held_by]
        width = -(-len(self._versions) // 8)
        bits = b"".join(held.to_bytes(width, "little") for held in sets)
        contents = Contents(self._cache, self._versions, self._files, before.table, chunks, before.pages)
        contents.sets = np.frombuffer(bits, np.uint8).reshape(len(sets), width)
        if self._entries:
            pages = read_pages(self._folder, before, range(len(before.pages)))
            entries = np.concatenate([*pages, np.array(self._entries, ENTRY)])
            order = np.argsort(entries["key"], kind="stable")
            contents.table, contents.pages = write_table(self._folder, entries[order])
        if len(self._files) > FILES:
            self._join(contents)
        return contents

    def _join(self, contents: Contents) -> None:
        """Makes one file of rows of all of them."""
        name, starts = f"rows-{secrets.token_hex(8)}", list[int]()
        with (self._folder / name).open("xb") as joined:
            for each in contents.files:
                starts.append(joined.tell())
                with (self._folder / each).open("rb") as file:
                    shutil.copyfileobj(file, joined)
        contents.chunks["offset"] += np.array(starts, np.uint64)[contents.chunks["file"]]
        contents.chunks["file"] = 0
        contents.files = [name]
