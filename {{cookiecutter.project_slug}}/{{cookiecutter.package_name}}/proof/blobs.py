"""Git's objects, by one process for any number of them."""

from __future__ import annotations

import subprocess
import threading
from functools import cached_property
from pathlib import Path

from ..lineage.git import git_environment


class Blobs:
    """The contents of a repository's files, by `git cat-file --batch`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, bytes | None] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The content of a file by its object's name or as `COMMIT:PATH`; None if there is no such file."""
        with self._lock:
            if name not in self._known:
                self._known[name] = None if "\n" in name else self._ask(name)
            return self._known[name]

    def _ask(self, name: str) -> bytes | None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{name}\n".encode(errors="surrogateescape"))
        process.stdin.flush()
        header = process.stdout.readline().rsplit(b" ", 2)
        if len(header) != 3 or header[1] != b"blob":  # "… missing", "… ambiguous", a tree
            if len(header) == 3 and header[1] in (b"tree", b"commit", b"tag"):
                process.stdout.read(int(header[2]) + 1)
            return None
        data = process.stdout.read(int(header[2]))
        process.stdout.read(1)
        return data

    @cached_property
    def _process(self) -> subprocess.Popen[bytes]:
        command = ["git", "-C", str(self._root), "cat-file", "--batch"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=git_environment())

    def __del__(self) -> None:
        process = self.__dict__.get("_process")
        if process is not None:
            process.stdin.close()
            process.stdout.close()
            process.wait()
