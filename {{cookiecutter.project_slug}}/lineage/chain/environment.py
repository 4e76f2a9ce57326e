"""`lineage doctor --environment`: all bytes of the installed packages, and of the project's compiled files."""

from __future__ import annotations

from pathlib import Path

from ..base.bytecode import ForeignBytecodeError, is_compiled_from_source
from ..base.errors import ProjectError
from ..contract import package_name
from .installed import compare_all, packages_folder, stamp_file
from .packages import LOCK, locked

SHOWN = 10


def show_environment(root: Path) -> int:
    """Prints what is not as it was installed or compiled, and returns the exit status."""
    lock = root / LOCK
    if not lock.exists():
        raise ProjectError(f"{lock} is missing. `git checkout {LOCK}` brings it back.")
    # this code is imported from the project that the environment was made for, which may be another clone of it
    projects = (root, Path(__file__).parents[2])
    compared = compare_all(packages_folder(), stamp_file(), set(locked(lock)), projects)
    forged = [path.relative_to(root).as_posix() for path in _compiled(root) if not _is_true(path)]
    for line in compared.wrong[:SHOWN]:
        print(line)
    if len(compared.wrong) > SHOWN:
        print(f"and {len(compared.wrong) - SHOWN} more")
    if compared.wrong:
        print(f"{len(compared.wrong)} of {compared.looked_at} installed files are wrong: rm -r .venv && make setup")
    for path in forged[:SHOWN]:
        print(f"{path} is not compiled from its source. Stages do not run it, `lineage` would: rm {path}")
    if not compared.wrong and not forged:
        print(f"all {compared.looked_at} installed files are what their packages brought ({compared.sha256[:12]})")
    return int(bool(compared.wrong or forged))


def _compiled(root: Path) -> list[Path]:
    return sorted(
        path for folder in (package_name(), "lineage", "hydra_plugins") for path in (root / folder).rglob("*.pyc")
    )


def _is_true(path: Path) -> bool:
    try:
        return is_compiled_from_source(path)
    except ForeignBytecodeError:
        return True  # of another Python, which this one never runs
