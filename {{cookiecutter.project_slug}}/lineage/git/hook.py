"""Git's hooks after a commit and after a merge: the script scripts/post-commit, copied to where Git looks for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .repository import Repository

SCRIPT = "scripts/post-commit"
HOOKS = ("post-commit", "post-merge")  # Git calls the first for a commit, the second for a merge that it commits itself


def install(root: Path) -> str:
    """Makes Git link new results after commits and merges of dvc.lock. Returns what a person should know, if anything.

    Nothing that somebody else put there is replaced: neither a file, nor a link, nor a folder that other repositories
    share. Only an earlier version of the script is, as some commit has it.
    """
    said = dict.fromkeys(_install(root, name) for name in HOOKS)
    return "\n".join(text for text in said if text)


def _install(root: Path, name: str) -> str:
    if is_installed(root, name):
        return ""
    by_hand = f"Call {SCRIPT} from it, or run `lineage link` after each commit of dvc.lock."
    hook = hook_path(root, name)
    if hook is None:
        return "This is no Git repository, so there is no hook to install."
    if not _is_inside(hook.parent, root):
        return (
            f"Git looks for hooks in {hook.parent}, outside of this repository (core.hooksPath): none was installed. "
            f"If {hook.name} there is yours: {by_hand[0].lower()}{by_hand[1:]}"
        )
    if os.path.lexists(hook) and not _is_earlier_version(hook, root):
        return f"{hook} is another hook, or this one edited, and was left alone. {by_hand}"
    hook.parent.mkdir(parents=True, exist_ok=True)
    partial = hook.with_name(f"{hook.name}.partial")
    shutil.copyfile(root / SCRIPT, partial)
    partial.chmod(0o755)
    partial.replace(hook)
    return ""


def is_installed(root: Path, name: str) -> bool:
    """Whether the hook `name` is the script of this version of the project."""
    hook = hook_path(root, name)
    return hook is not None and is_script(hook, root)


def is_script(hook: Path, root: Path) -> bool:
    """Whether a file is the script of this version of the project, and Git can call it."""
    return hook.is_file() and os.access(hook, os.X_OK) and hook.read_bytes() == (root / SCRIPT).read_bytes()


def hook_path(root: Path, name: str) -> Path | None:
    """Where Git looks for the hook `name`; None if there is no repository. Links are not followed."""
    found = Repository(root).run("rev-parse", "--git-path", f"hooks/{name}")
    return None if found is None else Path(os.path.normpath(root / found))


def _is_inside(folder: Path, root: Path) -> bool:
    common = Repository(root).run("rev-parse", "--git-common-dir")
    return common is not None and folder.resolve().is_relative_to((root / common).resolve())


def _is_earlier_version(hook: Path, root: Path) -> bool:
    """Whether the hook is, byte for byte, the script of some commit: what a person has changed, or written, is not."""
    if hook.is_symlink() or not hook.is_file():
        return False
    git = Repository(root)
    blob = git.run("hash-object", "--no-filters", "--", str(hook))
    return bool(blob and git.run("log", "--all", "-1", "--format=%H", f"--find-object={blob}", "--", SCRIPT))
