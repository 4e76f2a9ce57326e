"""The project's own code in a run: what could take part, and what did. dvc hashes the code that a stage declares."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath

from ..contract import package_name
from ..dvc.hashes import hash_file

PACKAGES = (package_name(), "lineage")
FOLDERS = (*PACKAGES, "conf", "hydra_plugins")
FILES = ("requirements.lock",)
RUN_FROM = (*PACKAGES, "hydra_plugins", ":(glob)*.py", ":(glob)*.so", ":(glob)*.pyd", ":(glob)*.pth")  # for Git
COMPILED_OR_NOT = (".py", ".so", ".pyd", ".pth")
GONE = "deleted"
MORE = "and more"
LIMIT = 5000  # characters; MLflow cuts a tag of a run at 8000


def takes_part(path: str) -> bool:
    """Whether a file of the project, by its path there, could change what a run does.

    That is all below the two packages, conf/ and hydra_plugins/, requirements.lock, every .pth file, and Python files
    beside them (`sitecustomize.py`, `torch.py`): stages run with the project's root on their path. Documentation, tests
    and scripts are not read by any stage; what dvc.yaml says is compared entry by entry.
    """
    where = PurePosixPath(path)
    beside = len(where.parts) == 1 and is_code(path)
    return where.parts[0] in FOLDERS or path in FILES or where.suffix == ".pth" or beside


def is_below(path: str, declared: Iterable[str]) -> bool:
    """Whether a path is one of those `declared` or lies in one of them."""
    return any(path == place or path.startswith(f"{place}/") or place == "." for place in declared)


def loaded_code(root: Path, declared: Iterable[str], elsewhere: Iterable[str] = ()) -> dict[str, str]:
    """SHA-256 by path of the project's modules that this process has loaded, less those that dvc hashes anyway.

    `elsewhere`: files that processes of its own have loaded.
    """
    here, environment, declared = root.resolve(), Path(sys.prefix).resolve(), tuple(declared)
    of_modules = (file for module in list(sys.modules.values()) if (file := _file(module)))
    own = (Path(file) for file in _resolved({*of_modules, *elsewhere}, str(here)))
    inside = (file for file in own if not file.is_relative_to(environment))
    paths = sorted(file.relative_to(here).as_posix() for file in inside if file.is_file())
    return {path: hash_file(here / path, path).sha256 for path in paths if not is_below(path, declared)}


def _resolved(files: Iterable[str], root: str) -> set[str]:
    """Where files really lie, of those that lie below `root`. Each folder is resolved once: there are thousands."""
    resolve, found = cache(os.path.realpath), set()
    for file in files:
        folder, name = os.path.split(file)
        real = os.path.join(resolve(folder), name)  # noqa: PTH118
        real = os.path.realpath(real) if os.path.islink(real) else real  # noqa: PTH114
        if real.startswith(f"{root}{os.sep}"):
            found.add(real)
    return found


def changed_code(root: Path, changed: Iterable[str], declared: Iterable[str]) -> str:
    """The changed files that could take part and that no stage declares, a line each: SHA-256, two blanks, path.

    Empty if there are none.
    """
    declared, lines = tuple(declared), []
    for path in changed:
        if takes_part(path) and not is_below(path, declared):
            file = root / path
            lines.append(f"{hash_file(file, path).sha256 if file.is_file() else GONE}  {path}")
    return cut(lines)


def cut(lines: list[str]) -> str:
    """Lines as one text that MLflow keeps whole. What does not fit is left out, and the last line says so."""
    text = "\n".join(lines)
    return text if len(text) <= LIMIT else text[:LIMIT].rpartition("\n")[0] + f"\n{MORE}"


def is_code(path: str) -> bool:
    """Whether Python could load the file."""
    return path.endswith(COMPILED_OR_NOT)


def read_changed_code(text: str) -> tuple[dict[str, str], bool]:
    """What `changed_code` wrote: SHA-256 by path, and whether that is all."""
    lines = text.splitlines()
    pairs = (line.partition("  ") for line in lines if line != MORE)
    return {path: sha256 for sha256, _, path in pairs}, MORE not in lines


def _file(module: object) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None
