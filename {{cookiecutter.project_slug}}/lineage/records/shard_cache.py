"""Shards of earlier dataset versions, to be used again where nothing that went into them has changed.

Their names are signed (base/hash_cache.py), so that a shard which somebody else has put here counts for nothing.
DVC removes the outputs of a stage before it runs, so that the previous version is not there to look at.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from ..base.hash_cache import signature
from .dataset import FIELDS, Row
from .profile import Sums

LIBRARIES = ("numpy", "pillow", "pyarrow")  # what decides a shard's bytes beside the code below
CODE = ("dataset.py", "images.py", "preparation.py", "profile.py", "sharding.py", "shard_cache.py", "spool.py")
ROOM = 4  # times what the last dataset version needed
LATELY = 3600.0  # seconds
SUMS = ".json"


class ShardCache:
    """A folder of shards, named by what went into them and by their content. Whatever is in it may be deleted.

    Beside each lies what was measured of its images, which its name covers as well.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.used: set[Path] = set()  # of this dataset version
        code = [hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest() for name in CODE]
        self._circumstances = [code, [f"{name} {version(name)}" for name in LIBRARIES]]

    def get(
        self,
        rows: Sequence[Row],
        fingerprint: str,
        build: Callable[[], tuple[bytes, Sums]],
        holds: Callable[[bytes], bool] = lambda _: True,
    ) -> tuple[bytes, Sums]:
        """The shard of `rows`, whose images have this fingerprint: the kept one if its bytes are right, else built.

        `holds` says whether the rows of a kept one are these.
        """
        made_of = [self._circumstances, [FIELDS(row) for row in rows], fingerprint]
        key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        for path in self._folder.glob(f"{key}-*.parquet"):
            with suppress(FileNotFoundError):  # an experiment beside this one tidies the same folder
                data, beside = path.read_bytes(), path.with_suffix(SUMS)
                measured = beside.read_bytes() if beside.is_file() else b""
                if path.name == _name(key, data, measured) and holds(data):
                    for each in (path, beside):
                        os.utime(each)  # used just now
                    self.used.add(path)
                    sums: Sums = json.loads(measured)
                    return data, sums
                beside.unlink(missing_ok=True)
                path.unlink()  # damaged, or not made by this user
        data, sums = build()
        measured = json.dumps(sums).encode()
        path = self._folder / _name(key, data, measured)
        self._write(path.with_suffix(SUMS), measured)
        self._write(path, data)
        self.used.add(path)
        return data, sums

    def tidy(self) -> None:
        """Deletes what was not used for longest, where there is much more than the last dataset version needed.

        What was used or written lately stays: it may be that of an experiment beside this one.
        """
        mine = (each for path in self.used for each in (path, path.with_suffix(SUMS)))
        needed = sum(size for _, size in _states(mine).values())
        total = 0
        for path, (used, size) in sorted(
            _states(self._folder.glob("*")).items(), key=lambda item: item[1], reverse=True
        ):
            total += size
            if total > ROOM * needed and time.time() - used > LATELY:
                path.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_bytes(data)
        partial.replace(path)


def _states(paths: Iterable[Path]) -> dict[Path, tuple[float, int]]:
    """When a file was last used, and its size in bytes; without those that are gone."""
    states = {}
    for path in paths:
        with suppress(FileNotFoundError):
            state = path.stat()
            states[path] = (state.st_mtime, state.st_size)
    return states


def _name(key: str, data: bytes, measured: bytes) -> str:
    hashes = (hashlib.sha256(each).hexdigest() for each in (data, measured))
    return f"{key}-{signature('shard', key, *hashes)}.parquet"
