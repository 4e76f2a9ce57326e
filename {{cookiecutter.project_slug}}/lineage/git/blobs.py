"""Git's objects, by one process for any number of them. Each is hashed: Git itself does not look when it reads one."""

from __future__ import annotations

import re
import subprocess
import threading
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ..base.errors import DamageError, LineageError
from .repository import git_command, git_environment, object_name

NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
FOLDER, SUBMODULE = "40000", "160000"


class Entry(NamedTuple):
    """What a folder of a commit says of one name in it."""

    mode: str
    name: str  # of the object


class Blobs:
    """The objects of a repository, by `git cat-file --batch`.

    A commit's hash binds its tree, that binds the files: what is read here is what the commit holds, whatever replace
    refs, alternates or edited object files say. Raises DamageError where an object holds other bytes than its name
    promises, LineageError where one that a commit rests on is not here (a partial clone).
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._blobs: dict[str, bytes | None] = {}
        self._trees: dict[str, dict[str, Entry]] = {}
        self._roots: dict[str, str | None] = {}
        self._lock = threading.RLock()

    def get(self, name: str) -> bytes:
        """The content of a file by its object's name."""
        with self._lock:
            if name not in self._blobs:
                self._blobs[name] = self._require(name, "blob")
            return self._blobs[name] or b""

    def at(self, commit: str, path: str) -> bytes | None:
        """The content of a file at a commit; None if the commit has no such file, or there is no such commit."""
        with self._lock:
            tree = self._root_of(commit)
            *folders, last = path.split("/")
            for folder in folders:
                entry = self._tree(tree).get(folder) if tree else None
                tree = entry.name if entry and entry.mode == FOLDER else None
            entry = self._tree(tree).get(last) if tree else None
            return self.get(entry.name) if entry and entry.mode not in (FOLDER, SUBMODULE) else None

    def files(self, commit: str, folder: str) -> dict[str, Entry]:
        """Every file and submodule at a commit by path, all those below `folder` (empty, or ending in a slash)."""
        with self._lock:
            tree = self._root_of(commit)
            for part in filter(None, folder.split("/")):
                entry = self._tree(tree).get(part) if tree else None
                tree = entry.name if entry and entry.mode == FOLDER else None
            return self._below(tree, "") if tree else {}

    def _below(self, tree: str, prefix: str) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for name, entry in self._tree(tree).items():
            if entry.mode == FOLDER:
                found |= self._below(entry.name, f"{prefix}{name}/")
            else:
                found[f"{prefix}{name}"] = entry
        return found

    def _root_of(self, commit: str) -> str | None:
        """The tree of a commit; None if there is no such commit."""
        if commit not in self._roots:
            found = None if "\n" in commit else self._ask(commit if NAME.fullmatch(commit) else f"{commit}^{{commit}}")
            # the first line of a commit names its tree, that of an annotated tag its commit
            first = found[1].split(b"\n", 1)[0].partition(b" ")[2].decode() if found else ""
            kind = found[0] if found else None
            self._roots[commit] = first if kind == "commit" else self._root_of(first) if kind == "tag" else None
        return self._roots[commit]

    def _tree(self, name: str) -> dict[str, Entry]:
        if name not in self._trees:
            data, length, at = self._require(name, "tree"), len(name) // 2, 0
            found: dict[str, Entry] = {}
            while at < len(data):
                end = data.index(b"\0", at)
                mode, _, file = data[at:end].partition(b" ")
                at = end + 1 + length
                found[file.decode(errors="surrogateescape")] = Entry(mode.decode(), data[end + 1 : at].hex())
            self._trees[name] = found
        return self._trees[name]

    def _require(self, name: str, kind: str) -> bytes:
        found = self._ask(name)
        if found is None:
            raise LineageError(
                f"Git's object {name} is not in this clone. `git fetch` brings it, or in a partial clone `git fetch "
                "--refetch --no-filter`."
            )
        if found[0] != kind:
            raise DamageError(f"Git's object {name} is a {found[0]}, it must be a {kind}.")
        return found[1]

    def _ask(self, name: str) -> tuple[str, bytes] | None:
        """Kind and content of an object; None if there is none of that name."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{name}\n".encode(errors="surrogateescape"))
            process.stdin.flush()
        except OSError:
            pass  # it has ended; why, nobody knows
        header = process.stdout.readline()
        if not header.endswith(b"\n"):
            raise LineageError(f"Git cannot read its object {name}: `git fsck`, or for a partial clone `git fetch`.")
        parts = header.rsplit(b" ", 2)
        if len(parts) != 3 or not parts[2].strip().isdigit():  # "… missing", "… ambiguous"
            return None
        found, kind, data = parts[0].decode(), parts[1].decode(), process.stdout.read(int(parts[2]))
        process.stdout.read(1)
        if object_name(kind, data, found) != found or (NAME.fullmatch(name) and name != found):
            raise DamageError(f"Git's object {name} does not match its hash. `git fsck` says more.")
        return kind, data

    @cached_property
    def _process(self) -> subprocess.Popen[bytes]:
        command = git_command(self._root, "cat-file", "--batch")
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=git_environment())

    def __del__(self) -> None:
        process = self.__dict__.get("_process")
        if process is not None:
            process.stdin.close()
            process.stdout.close()
            process.wait()
