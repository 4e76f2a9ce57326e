"""Hashes of files, kept so that only those are read again of which the file system says that they changed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

SETTLED = 2 * 10**9  # nanoseconds after which a file system's clock tells a later change from this one


class HashCache:
    """Hashes by one algorithm, kept in `file`, which may be deleted.

    A file is known by its path, inode, size and times. Who must notice bytes that rot beneath them hashes it himself.
    """

    def __init__(self, file: Path, algorithm: str) -> None:
        self._file = file
        self._algorithm = algorithm
        try:
            self._kept: dict[str, str] = dict(json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            self._kept = {}
        self._asked: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """The hash of a file, hexadecimal. Raises OSError if it cannot be read."""
        stat = path.stat()
        state = (path.absolute(), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        key = hashlib.sha256(repr(state).encode("utf-8", "surrogateescape")).hexdigest()  # paths may be personal
        known = self._kept.get(key)
        if known is None:
            before = time.time_ns()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.new(self._algorithm, usedforsecurity=False))
            known = digest.hexdigest()
            if before - max(stat.st_mtime_ns, stat.st_ctime_ns) < SETTLED:
                return known  # a change in the same moment could not be told from this state
        self._asked[key] = known
        return known

    def save(self, *, others: bool = False) -> None:
        """Keeps what was asked for; what was kept before and not asked for only if `others` are to stay."""
        keep = {**self._kept, **self._asked} if others else self._asked
        if keep == self._kept:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps(keep))
        partial.replace(self._file)
