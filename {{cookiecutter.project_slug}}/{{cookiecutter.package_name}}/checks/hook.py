"""Whether Git calls `lineage link` after commits, whoever else keeps hooks in this repository."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ..lineage.git import Repository
from ..lineage.hook import SCRIPT, is_installed
from .finding import Finding

NAME = "post-commit"
PRE_COMMIT = "pre-commit.com"  # in every hook that pre-commit writes


def check_hook(root: Path) -> Finding:
    """Whether the hook is there and of this version, by itself or called from another one."""
    git = Repository(root)
    found = git.run("rev-parse", "--git-path", f"hooks/{NAME}")
    if found is None:
        return Finding("hook", "unknown", "this is no Git repository, so nothing is called after commits.")
    hook = (root / found).resolve()
    if (is_installed(root) and os.access(hook, os.X_OK)) or _calls_ours(root, hook):
        return Finding("hook", "right", "commits that touch dvc.lock or lineage.json are linked in the background")
    text = "Git does not call `lineage link` after commits, or calls an older one: results are linked when you call it."
    return Finding("hook", "unknown", text, _mend(root, git, hook))


def _calls_ours(root: Path, hook: Path) -> bool:
    places = [place for place in (hook, *_behind(hook)) if place.is_file()]
    script = (root / SCRIPT).read_bytes()
    return any(SCRIPT in place.read_text(errors="replace") or place.read_bytes() == script for place in places)


def _behind(hook: Path) -> list[Path]:
    """The files that a hook of husky or of pre-commit runs."""
    return [hook.parent.parent / NAME] if hook.parent.name == "_" else [hook.with_name(f"{NAME}.legacy")]


def _mend(root: Path, git: Repository, hook: Path) -> str:
    """The command that makes Git call the script, and leaves other hooks as they are."""
    common = git.run("rev-parse", "--git-common-dir")
    is_own = common is not None and hook.is_relative_to((root / common).resolve())
    text = hook.read_text(errors="replace") if hook.is_file() else ""
    if is_own and (not text or "lineage link" in text):
        return "lineage link --install-hook"
    prefix = git.run("rev-parse", "--show-prefix") or ""  # hooks run at the top of the repository
    if PRE_COMMIT in text:  # it ends in `exec`, and runs a hook that was there before it
        legacy = shlex.quote(str(hook.with_name(f"{NAME}.legacy")))
        return f"cp {shlex.quote(str(root / SCRIPT))} {legacy} && chmod +x {legacy}"
    place = _behind(hook)[0] if hook.parent.name == "_" else hook
    called = shlex.quote(prefix + SCRIPT)
    line = f"[ ! -f {called} ] || sh {called}"  # the folder may serve other repositories as well
    quoted = shlex.quote(str(place))
    return f"echo {shlex.quote(line)} >> {quoted} && chmod +x {quoted}"
