"""Git's post-commit hook: the script scripts/post-commit, copied to where Git looks for it."""

from __future__ import annotations

import shutil
from pathlib import Path

from .git import Repository

SCRIPT = "scripts/post-commit"
MARK = "lineage link"


def install(root: Path) -> str:
    """Makes Git link new results after commits that touch dvc.lock. Returns what a person should know, if anything.

    A hook of somebody else's, or a folder of hooks that other repositories share, is left alone.
    """
    hook = hook_path(root)
    if hook is None:
        return (
            "Git keeps hooks outside of this repository (core.hooksPath): no hook was installed. `lineage link` links."
        )
    if hook.exists() and MARK not in hook.read_text(encoding="utf-8", errors="replace"):
        return f"{hook} is another hook and was left alone. Call {SCRIPT} from it to link after each commit."
    if not is_installed(root):
        hook.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / SCRIPT, hook)
        hook.chmod(0o755)
    return ""


def is_installed(root: Path) -> bool:
    """Whether the hook is there and is the one of this version of the project."""
    hook = hook_path(root)
    return hook is not None and hook.exists() and hook.read_bytes() == (root / SCRIPT).read_bytes()


def hook_path(root: Path) -> Path | None:
    """Where Git looks for the hook; None if there is no repository or its hooks are shared with others."""
    git = Repository(root)
    found, common = git.run("rev-parse", "--git-path", "hooks/post-commit"), git.run("rev-parse", "--git-common-dir")
    if found is None or common is None:
        return None
    hook = (root / found).resolve()
    return hook if hook.is_relative_to((root / common).resolve()) else None
