"""Objects to and from a remote, some MB of them in memory at a time, however large they are and however many travel.

Left to itself, the file system of S3 (s3fs) takes ten parts of 50 MiB of each file, and a file below 100 MiB whole.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PART = 5 * 2**20  # bytes: S3 takes no smaller part of an object, but for the last
PARTS = 4  # of one object at the same time
MOST_PARTS = 10_000  # that S3 takes of one object
BLOCK = 4 * 2**20  # bytes that are read at once of an object that is read to its end
PIECE = 2**20  # and of one of which parts are looked at
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
    parts = max(1, min(PARTS, ROOM // part))
    how = {"chunksize": part, "max_concurrency": parts} if files.protocol == "s3" else {}
    with _room.take(min(size, max(2, parts) * part)):  # s3fs takes what has less than two parts whole
        files.put_file(str(source), target, **how)


def get(files: Any, source: str, target: Path) -> None:
    """Copies `source` from the file system of a remote to a file. Raises what that raises."""
    # of several parts, each would be in memory whole; of one, 64 KiB
    files.get_file(source, str(target), **({"max_concurrency": 1} if files.protocol == "s3" else {}))


@contextmanager
def whole(files: Any, source: str, size: int) -> Iterator[Any]:
    """A file of so many bytes in the file system of a remote, to read from its beginning to its end."""
    # s3fs has the last block and the next one, this twice for a moment
    with _room.take(min(3 * size, 4 * BLOCK)), files.open(source, "rb", block_size=BLOCK) as file:
        yield file


def pieces(files: Any, source: str) -> Any:
    """A file in the file system of a remote, opened to look at parts of it."""
    return files.open(source, "rb", block_size=PIECE)
