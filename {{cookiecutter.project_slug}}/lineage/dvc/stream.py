"""Objects to and from a remote, some MB of them in memory at a time, however large they are and however many travel.

Left to itself, the file system of S3 (s3fs) takes ten parts of 50 MiB of each file, and a file below 100 MiB whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

PART = 5 * 2**20  # bytes: S3 takes no smaller part of an object, but for the last
PARTS = 4  # of one object at the same time
MOST_PARTS = 10_000  # that S3 takes of one object
PIECE = 2**20  # bytes that are asked for at once of an object that is not copied
ROOM = 40 * 2**20  # bytes of all objects that travel


class Room:
    """Memory that threads share: who finds too little of it free waits until others are done."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        """Holds so many bytes of it, at most all."""
        held = min(wanted, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= held)
            self._free -= held
        try:
            yield
        finally:
            with self._changed:
                self._free += held
                self._changed.notify_all()


_room = Room(ROOM)


def put(files: Any, source: Path, target: str) -> None:
    """Copies a file to `target` in the file system of a remote, as DVC has it. Raises what that raises."""
    size = source.stat().st_size
    part = max(PART, -(-size // MOST_PARTS))
    parts = max(1, min(PARTS, ROOM // (2 * part)))
    how = {"chunksize": part, "max_concurrency": parts} if files.protocol == "s3" else {}
    # what has less than two parts goes whole, and what is on its way is copied once more
    with _room.take(2 * min(size, max(2, parts) * part)):
        files.put_file(str(source), target, **how)


def get(files: Any, source: str, target: Path) -> None:
    """Copies `source` from the file system of a remote to a file. Raises what that raises."""
    # of several parts, each would be in memory whole; of one, 64 KiB
    files.get_file(source, str(target), **({"max_concurrency": 1} if files.protocol == "s3" else {}))


@contextmanager
def whole(files: Any, source: str) -> Iterator[BinaryIO]:
    """A file in the file system of a remote, to read from its beginning to its end. Raises what that raises."""
    if files.protocol != "s3" or os.name == "nt":
        with files.open(source, "rb", block_size=PIECE) as file:
            yield file
        return
    # opened, s3fs would ask for block after block; copied, the bytes of one answer come as they are read
    reading, writing = os.pipe()

    def bring() -> None:
        try:
            get(files, source, Path(f"/dev/fd/{writing}"))
        finally:
            os.close(writing)

    with ThreadPoolExecutor(1) as thread, os.fdopen(reading, "rb") as file:
        coming = thread.submit(bring)
        yield file
        coming.result()


def pieces(files: Any, source: str) -> Any:
    """A file in the file system of a remote, opened to look at parts of it."""
    return files.open(source, "rb", block_size=PIECE)
