"""The main project: where stores and relative paths belong, whatever folder a stage runs in.

Temporary experiments and Git worktrees are deleted when they are done with; a store inside them would go with them.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..env import DVC_ROOT
from .git import Repository


def main_root(folder: Path) -> Path:
    """The root of the main project for a stage that runs in `folder`, absolute.

    In a temporary experiment, dvc names the main project in DVC_ROOT. In a Git worktree, Git knows the main one.
    """
    root = Path(os.environ.get(DVC_ROOT) or folder).resolve()
    git = Repository(root)
    top, listed = git.run("rev-parse", "--show-toplevel"), git.lines("worktree", "list", "--porcelain")
    if top is None or not listed:
        return root
    main = Path(listed[0].removeprefix("worktree ")) / root.relative_to(Path(top).resolve())
    # no project there: the main repository is bare, or a submodule's
    return main if (main / "dvc.yaml").exists() else root
