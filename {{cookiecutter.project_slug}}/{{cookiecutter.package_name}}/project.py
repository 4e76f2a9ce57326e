"""Which project a command is called in."""

from __future__ import annotations

from pathlib import Path

from .errors import ProjectError


def project_root() -> Path:
    """The nearest folder upwards that holds a dvc.yaml. Raises ProjectError if there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    raise ProjectError(f"no dvc.yaml in {here} or above it. Change to the project's folder.")
