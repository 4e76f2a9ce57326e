"""The main project: where stores and relative paths belong, whatever folder a stage runs in.

Temporary experiments and Git worktrees are deleted when they are done with; a store inside them would go with them.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ..base.env import DVC_EXP_BASELINE_REV, DVC_EXP_NAME, DVC_ROOT
from .repository import Repository

EXPERIMENTS = Path(".dvc") / "tmp" / "exps"  # where dvc makes the folders of temporary and queued experiments


def main_root(folder: Path) -> Path:
    """The root of the main project for a stage that runs in `folder`, absolute.

    A temporary experiment belongs to the project below whose .dvc/tmp it lies. In a Git worktree, Git knows the main
    one. Asked once in a process: nothing moves a project while a command runs.
    """
    return _main_root(folder.resolve())


@cache
def _main_root(here: Path) -> Path:
    git = Repository(here)
    top, listed = git.run("rev-parse", "--show-toplevel"), git.worktrees()
    owner = _owner_of_experiment(here)
    if owner is not None:
        # the experiment is a copy of the whole repository, of which the project may be a folder
        above = Repository(owner).run("rev-parse", "--show-toplevel")
        main = Path(above) / here.relative_to(Path(top).resolve()) if above and top else owner
        return main_root(main if (main / "dvc.yaml").exists() else owner)
    if top is None or not listed:
        return here
    main = listed[0] / here.relative_to(Path(top).resolve())
    # no project there: the main repository is bare, or a submodule's
    return main if (main / "dvc.yaml").exists() else here


def experiment_variables(folder: Path) -> dict[str, str]:
    """Name and baseline of the DVC experiment that the stage in `folder` is part of, by variable; empty outside of one.

    A dvc that is started by a stage of another project inherits that project's variables. dvc sets DVC_ROOT with them.
    """
    here, root = folder.resolve(), os.environ.get(DVC_ROOT)
    if not root or not (here == Path(root).resolve() or _is_experiment_of(here, Path(root))):
        return {}
    return {name: os.environ[name] for name in (DVC_EXP_NAME, DVC_EXP_BASELINE_REV) if os.environ.get(name)}


def _owner_of_experiment(folder: Path) -> Path | None:
    """The project whose temporary experiment `folder` is, or lies in; None if it is none."""
    depth = len(EXPERIMENTS.parts)
    for place in folder.parents:
        if place.parts[-depth:] == EXPERIMENTS.parts:
            return place.parents[depth - 1]
    # .dvc/tmp may be a link to another disk, and then the path does not say whose it is
    root = os.environ.get(DVC_ROOT)
    return Path(root).resolve() if root and _is_experiment_of(folder, Path(root)) else None


def _is_experiment_of(folder: Path, project: Path) -> bool:
    return folder.is_relative_to((project / EXPERIMENTS).resolve())
