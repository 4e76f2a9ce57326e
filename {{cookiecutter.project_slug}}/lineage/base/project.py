"""Which project a command is called in."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import DataError, ProjectError


def project_root() -> Path:
    """The nearest folder upwards that holds a dvc.yaml. Raises ProjectError if there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    raise ProjectError(f"no dvc.yaml in {here} or above it. Change to the project's folder.")


def path_at(path: str, root: Path) -> Path:
    """The place on this machine that a setting names, relative to `root`. Raises DataError if it names none.

    It is not resolved: a link says where the files are kept today.
    """
    try:
        return Path(os.path.normpath(root / Path(path).expanduser()))
    except RuntimeError:  # ~somebody
        raise DataError(f"{path!r} names a home folder that does not exist here. Set the whole path.") from None
