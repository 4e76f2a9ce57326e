"""Hashes of files, kept so that only those are read again of which the file system says that they changed.

Notes are signed with a key of the user, outside of every project: who may only write into a project's folder cannot
make one. Who works as this user can, and who can set a file's time of change hides a change from any such note.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

SETTLED = 2 * 10**9  # nanoseconds after which a file system's clock tells a later change from this one
KEY_FILE = Path("lineage") / "notes.key"
KEY_BYTES, SIGNED = 32, 32  # bytes; hexadecimal digits


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
        noted = self._kept.get(key)
        known = self._known(key, noted)
        if known is None:
            before = time.time_ns()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.new(self._algorithm, usedforsecurity=False))
            known = digest.hexdigest()
            if before - max(stat.st_mtime_ns, stat.st_ctime_ns) < SETTLED:
                return known  # a change in the same moment could not be distinguished from this state
            noted = f"{known}:{signature(self._algorithm, key, known)}"
        self._asked[key] = str(noted)
        return known

    def save(self, *, others: bool = False) -> None:
        """Keeps what was asked for; what was kept before and not asked for only if `others` are to stay.

        Where nothing can be written, the next one hashes again: no answer is worse for it.
        """
        keep = {**self._kept, **self._asked} if others else self._asked
        if keep == self._kept:
            return
        keep_json(self._file, keep)

    def _known(self, key: str, noted: object) -> str | None:
        """The hash of a note; None if there is none that this user has signed."""
        if not isinstance(noted, str):
            return None
        known, _, signed = noted.partition(":")
        return known if hmac.compare_digest(signed, signature(self._algorithm, key, known)) else None


def keep_json(file: Path, notes: object) -> None:
    """Replaces `file` by these notes, whole or not at all; where nothing can be written, it stays as it is."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(notes))
        partial.replace(file)
    with suppress(OSError):
        partial.unlink(missing_ok=True)


def signature(*parts: str) -> str:
    """What shows that a note is this user's own: 128 bits, hexadecimal, over all parts and their lengths."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(_key(), text.encode("utf-8", "surrogateescape"), "sha256").hex()[:SIGNED]


@cache
def _key() -> bytes:
    """The user's key, made at its first use. Where it cannot be kept, it lasts as long as this process."""
    with suppress(OSError, RuntimeError):  # no home
        home = os.environ.get("XDG_STATE_HOME")
        path = (Path(home) if home else Path.home() / ".local" / "state") / KEY_FILE
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # nobody else may read it
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                with suppress(FileExistsError):  # another process was faster
                    os.link(file.name, path)
        key = path.read_bytes()
        if len(key) == KEY_BYTES:
            return key
    return secrets.token_bytes(KEY_BYTES)
