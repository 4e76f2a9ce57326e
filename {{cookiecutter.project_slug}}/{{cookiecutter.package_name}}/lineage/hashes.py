"""Hashes of files and folders. MD5 as DVC computes it, to name; SHA-256 beside it, to prove."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


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
    """Reads a file, or every file below a folder, once. Raises FileNotFoundError if there is none."""
    if not path.is_dir():
        file = _hash_file(path, path.name)
        return Content(file.md5, file.sha256, file.size, (file,))
    found = [child for child in path.rglob("*") if child.is_file()]
    # dvc sorts by the parts of the path: "a/b" comes before "a-b"
    names = sorted(child.relative_to(path).parts for child in found)
    files = tuple(_hash_file(path.joinpath(*parts), "/".join(parts)) for parts in names)
    listing = [{"md5": file.md5, "relpath": file.path} for file in files]
    pairs = [[file.path, file.sha256] for file in files]
    return Content(
        md5=hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir",
        sha256=sha256_of_json(pairs),
        size=sum(file.size for file in files),
        files=files,
    )


def sha256_of_json(value: Any) -> str:
    """SHA-256 of `value` as JSON in one canonical form: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_file(path: Path, name: str) -> Hashed:
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
            size += len(chunk)
    return Hashed(name, md5.hexdigest(), sha256.hexdigest(), size)
