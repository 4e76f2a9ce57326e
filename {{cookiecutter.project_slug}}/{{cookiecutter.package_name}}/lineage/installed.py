"""Whether the installed packages are still what was installed: each file against the RECORD of its package.

All bytes after an installation, and for `lineage doctor --environment`; size and time before a stage. It finds what was
edited, added or broken. Who can write here can write RECORD too: only the hashes in the lock say what the wheels held.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name

CODE = (".py", ".so", ".pyd", ".dylib", ".dll", ".pth")  # what Python runs, or loads to run it
OF_INSTALLERS = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json")
OF_ENVIRONMENTS = ("_virtualenv.py", "_virtualenv.pth")  # uv and virtualenv put them there, for no package
EDITABLE = "__editable__"


class File(NamedTuple):
    """One line of a RECORD. `path` is relative to the folder of packages; `sha256` as RECORD writes it."""

    package: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Compared:
    """The answer: how many files of packages were read, a sentence for each that is wrong, and the hash over all."""

    looked_at: int
    wrong: list[str]
    sha256: str  # over the paths and hashes of the packages; the same lock gives the same one on each machine of a kind


def packages_folder() -> Path:
    """Where the packages of this Python are installed."""
    return Path(sysconfig.get_path("purelib"))


def stamp_file() -> Path:
    """Where the size and time of each file are kept since all bytes were right."""
    return Path(sys.prefix) / "compared.json"


def compare_all(site: Path, stamp: Path, locked: set[str]) -> Compared:
    """Reads every file of every package in `site`, and keeps in `stamp` what `changed_since` needs.

    The hash is over the packages whose names are in `locked` alone: tools differ from machine to machine.
    """
    files = list(_recorded(site))
    allowed: dict[str, set[str]] = {}
    for file in files:  # some packages bring the same file, and the last one that was installed wins
        allowed.setdefault(file.path, set()).add(file.sha256)
    wrong = [f"{path} {fault}" for path, hashes in allowed.items() if (fault := _fault(site / path, hashes))]
    wrong += [f"{name} belongs to no package" for name in _foreign(site, set(allowed))]
    lines = sorted(f"{file.path} {file.sha256}" for file in files if file.package in locked and _is_of_wheel(file.path))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    states = {path: _state(site / path) for path in allowed if path.endswith(CODE)}
    stamp.write_text(json.dumps({"sha256": digest, "wrong": wrong, "files": states}), encoding="utf-8")
    return Compared(len(allowed), wrong, digest)


def changed_since(site: Path, stamp: Path) -> tuple[str | None, list[str]]:
    """The hash over the packages, and what is wrong with their code: what was then, and what was changed since.

    The hash is None where nobody has compared all bytes, or something is wrong.
    """
    try:
        kept = json.loads(stamp.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None, []
    files: dict[str, list[int] | None] = kept["files"]
    wrong: list[str] = kept["wrong"]
    wrong += [
        f"{path} was changed since it was installed" for path, state in files.items() if _state(site / path) != state
    ]
    wrong += [line for name in _foreign(site, set(files)) if (line := f"{name} belongs to no package") not in wrong]
    return (None if wrong else str(kept["sha256"])), wrong


def _recorded(site: Path) -> Iterator[File]:
    for dist in distributions(path=[str(site)]):
        name = canonicalize_name(dist.metadata["Name"] or "")
        text = dist.read_text("RECORD") or ""
        for path, digest, _ in csv.reader(text.splitlines()):
            if digest.startswith("sha256=") and not path.startswith(("/", "..")):
                yield File(name, path, digest.removeprefix("sha256="))


def _fault(path: Path, allowed: set[str]) -> str | None:
    try:
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").digest()
    except OSError:
        return "is missing"
    return None if base64.urlsafe_b64encode(found).decode().rstrip("=") in allowed else "is not what was installed"


def _foreign(site: Path, known: set[str]) -> list[str]:
    """What lies beside the packages and runs when it is imported, or when Python starts, and is no package's."""
    tops = {path.partition("/")[0] for path in known}
    found = []
    for entry in os.scandir(site):
        runs = entry.name.endswith(CODE) if entry.is_file() else _holds_code(entry)
        if runs and entry.name not in tops and entry.name not in OF_ENVIRONMENTS and not _is_editable(entry.name):
            found.append(entry.name)
    return sorted(found)


def _holds_code(folder: os.DirEntry[str]) -> bool:
    if folder.name == "__pycache__" or folder.name.endswith((".dist-info", ".egg-info")) or not folder.is_dir():
        return False
    return any(path.name.endswith(CODE) for path in Path(folder.path).iterdir())


def _is_editable(name: str) -> bool:
    # the way to this project's own sources, which Git and dvc.lock hold
    return name.startswith(EDITABLE)


def _is_of_wheel(path: str) -> bool:
    return not (".dist-info/" in path and path.endswith(OF_INSTALLERS))


def _state(path: Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]
