"""Whether Git calls `lineage link` after commits and merges, whoever else keeps hooks in this repository."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..base.finding import Finding
from ..git.hook import HOOKS, SCRIPT, hook_path, is_script
from ..git.repository import Repository

PRE_COMMIT = "pre-commit.com"  # in every hook that pre-commit writes


def check_hook(root: Path) -> Finding:
    """Whether the hooks are there and of this version, by themselves or called from others."""
    missing: list[Path] = []
    for name in HOOKS:
        place = hook_path(root, name)
        if place is None:
            return Finding("hook", "unknown", "this is no Git repository, so nothing is called after commits.")
        if not is_script(place, root) and not _calls_ours(root, place.resolve()):
            missing.append(place.resolve())
    if not missing:
        return Finding("hook", "right", "commits that touch dvc.lock or lineage.json are linked in the background")
    names = " and ".join(hook.name for hook in missing)
    text = f"Git's hooks ({names}) do not call `lineage link`, or an older one: results are linked when you call it."
    fixes = dict.fromkeys(_mend(root, Repository(root), hook) for hook in missing)
    return Finding("hook", "unknown", text, " && ".join(fixes))


def _calls_ours(root: Path, hook: Path) -> bool:
    places = [place for place in (hook, *_behind(hook)) if place.is_file()]
    script = (root / SCRIPT).read_bytes()
    return any(SCRIPT in place.read_text(errors="replace") or place.read_bytes() == script for place in places)


def _behind(hook: Path) -> list[Path]:
    """The files that a hook of husky or of pre-commit runs."""
    return [hook.parent.parent / hook.name] if hook.parent.name == "_" else [hook.with_name(f"{hook.name}.legacy")]


def _mend(root: Path, git: Repository, hook: Path) -> str:
    """The command that makes Git call the script, and leaves other hooks as they are."""
    common = git.run("rev-parse", "--git-common-dir")
    is_own = common is not None and hook.is_relative_to((root / common).resolve())
    text = hook.read_text(errors="replace") if hook.is_file() else ""
    if is_own and (not text or "lineage link" in text):
        return "lineage link --install-hook"
    prefix = git.run("rev-parse", "--show-prefix") or ""  # hooks run at the top of the repository
    if PRE_COMMIT in text:  # it ends in `exec`, and runs a hook that was there before it
        legacy = shlex.quote(str(hook.with_name(f"{hook.name}.legacy")))
        return f"cp {shlex.quote(str(root / SCRIPT))} {legacy} && chmod +x {legacy}"
    place = _behind(hook)[0] if hook.parent.name == "_" else hook
    called = shlex.quote(prefix + SCRIPT)
    line = f"[ ! -f {called} ] || sh {called}"  # the folder may serve other repositories as well
    quoted = shlex.quote(str(place))
    begun = "" if place.exists() else f"echo '#!/bin/sh' > {quoted} && "
    return f"{begun}echo {shlex.quote(line)} >> {quoted} && chmod +x {quoted}"
