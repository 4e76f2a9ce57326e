"""Shards of earlier dataset versions, to be used again where nothing that went into them has changed.

DVC removes the outputs of a stage before it runs, so that the previous version is not there to look at.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from .dataset import FIELDS, Row

LIBRARIES = ("numpy", "pillow", "pyarrow")  # what decides a shard's bytes beside the code below
CODE = ("dataset.py", "images.py", "preparation.py", "sharding.py", "shard_cache.py")
ROOM = 4  # times what the last dataset version needed


class ShardCache:
    """A folder of shards, named by what went into them and by their content. Whatever is in it may be deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: list[Path] = []
        code = [hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest() for name in CODE]
        self._circumstances = [code, [f"{name} {version(name)}" for name in LIBRARIES]]

    def get(self, rows: Sequence[Row], fingerprint: str, build: Callable[[], bytes]) -> bytes:
        """The shard of `rows`, whose images have this fingerprint: the kept one if its bytes are right, else built."""
        made_of = [self._circumstances, [FIELDS(row) for row in rows], fingerprint]
        key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        for path in self._folder.glob(f"{key}-*.parquet"):
            data = path.read_bytes()
            if path.name == _name(key, data):
                os.utime(path)  # used just now
                self._used.append(path)
                return data
            path.unlink()  # damaged
        data = build()
        self._keep(self._folder / _name(key, data), data)
        return data

    def tidy(self) -> None:
        """Deletes what was not used for longest, where there is much more than the last dataset version needed."""
        needed = sum(path.stat().st_size for path in self._used if path.exists())
        kept = sorted(self._folder.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in kept:
            total += path.stat().st_size
            if total > ROOM * needed:
                path.unlink(missing_ok=True)

    def _keep(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_bytes(data)
        partial.replace(path)
        self._used.append(path)


def _name(key: str, data: bytes) -> str:
    return f"{key}-{hashlib.sha256(data).hexdigest()}.parquet"
