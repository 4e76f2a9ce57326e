"""Hashes of files and folders. MD5 as DVC computes it, to name; SHA-256 beside it, to prove."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .ignore import DVCIGNORE, Ignored

CHUNK = 1 << 18
NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")  # of an object: an MD5, and an ending for the listing of a folder


@dataclass(frozen=True)
class Hashed:
    """One file: its path relative to what was hashed, its hashes, its size in bytes."""

    path: str
    md5: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Content:
    """A file or a folder by content.

    `md5` is what dvc.lock records: for a folder the hash of its listing, which ends in `.dir`. `sha256` of a folder is
    the hash of the JSON list of its `[path, sha256]` pairs in the order of the paths.
    """

    md5: str
    sha256: str
    size: int
    files: tuple[Hashed, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"md5": self.md5, "sha256": self.sha256, "size": self.size}


def hash_path(path: Path) -> Content:
    """Reads a file, or every file below a folder, once. Raises FileNotFoundError if there is none.

    Files that a .dvcignore of the project names are left out, as dvc does.
    """
    if not path.is_dir():
        return _file(path)
    return folder_content(hash_file(path / name, name) for name in _names_for_dvc(path))


def hash_tree(path: Path) -> Content:
    """Reads a file, or every file below a folder, once; none is left out, whatever .dvcignore says."""
    return folder_content(hash_file(path / name, name) for name in _names(path)) if path.is_dir() else _file(path)


def folder_content(files: Iterable[Hashed]) -> Content:
    """A folder that holds `files`, whose paths are relative to it."""
    ordered = tuple(sorted(files, key=lambda file: file.path))
    return Content(
        md5=md5_of_listing({file.path: file.md5 for file in ordered}),
        sha256=sha256_of_json([[file.path, file.sha256] for file in ordered]),
        size=sum(file.size for file in ordered),
        files=ordered,
    )


def _file(path: Path) -> Content:
    file = hash_file(path, path.name)
    return Content(file.md5, file.sha256, file.size, (file,))


def md5_of_listing(files: dict[str, str]) -> str:
    """The hash that dvc gives to a folder, from the MD5 of each file by its path in the folder."""
    return hashlib.md5(listing(files), usedforsecurity=False).hexdigest() + ".dir"


def plain_md5(md5: str) -> str:
    """The MD5 of the bytes of an object, from its name: that of a folder's listing ends in `.dir` as well."""
    return md5.removesuffix(".dir")


def listing(files: dict[str, str]) -> bytes:
    """The object that dvc keeps for a folder, from the MD5 of each file by its path in the folder."""
    # dvc sorts the entries by their path as text
    entries = [{"md5": md5, "relpath": path} for path, md5 in sorted(files.items())]
    return json.dumps(entries, sort_keys=True).encode()


def sha256_of_json(value: Any) -> str:
    """SHA-256 of `value` as JSON in one canonical form: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_bytes(data: bytes, name: str) -> Hashed:
    """The hashes of a file's content that is at hand."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Hashed(name, md5, hashlib.sha256(data).hexdigest(), len(data))


def _names(folder: Path) -> list[str]:
    return [child.relative_to(folder).as_posix() for child in folder.rglob("*") if child.is_file()]


def _names_for_dvc(folder: Path) -> list[str]:
    ignored = ignored_in(folder)
    return [name for name in _names(folder) if not ignored(name)]


def ignored_in(folder: Path) -> Callable[[str], bool]:
    """Says of a file below `folder`, by its path relative to it, whether a .dvcignore of the project names it."""
    here = folder.absolute()
    project = next((parent for parent in here.parents if (parent / ".dvc").is_dir()), here.parent)
    above = [
        project / part for part in here.relative_to(project).parents
    ]  # dvc allows no .dvcignore in `folder` itself
    lists = [parent / DVCIGNORE for parent in above if (parent / DVCIGNORE).is_file()]
    ignored = Ignored({path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in lists})
    where = here.relative_to(project)
    return lambda name: ignored((where / name).as_posix())


def hash_file(path: Path, name: str) -> Hashed:
    """Reads a file once; `name` is how it is called in the answer."""
    with path.open("rb") as file:
        return hash_stream(file, name)


def hash_stream(file: IO[bytes], name: str) -> Hashed:
    """Reads an open file to its end; `name` is how it is called in the answer."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        md5.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    return Hashed(name, md5.hexdigest(), sha256.hexdigest(), size)
