"""Which checkout may give the alias `candidate`, which everybody who asks the registry for a model relies on."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from ..git.repository import Repository
from ..settings.tracking import Tracking
from .address import SQLITE

ALIAS = "candidate"
# tags of the registered model: the commit, and the model identity, that the alias was last moved for
MOVED_FOR, MOVED_TO = "candidate_commit", "candidate_identity"


def why_not_here(root: Path, tracking: Tracking) -> str:
    """Why this checkout may not move the alias, as the end of a sentence; empty if it may."""
    return why_not_branch(root, tracking.candidate_branches, "tracking.candidate_branches")


def why_not_branch(root: Path, allowed: list[str] | None, setting: str) -> str:
    """Why the branch checked out is not one that a setting allows, None for the default one; empty if it is."""
    git = Repository(root)
    branch, default = git.branch(), git.default_branch()
    if branch is None:
        return "no branch is checked out"
    if allowed is None:
        return "" if default in (None, branch) else f"branch {branch} is not the default branch {default}"
    if any(fnmatchcase(branch, pattern) for pattern in allowed):
        return ""
    return f"branch {branch} is not among {setting}"


def is_shared(tracking: Tracking) -> bool:
    """Whether others ask the same registry: then nothing may be named there that they cannot fetch."""
    return not tracking.uri.startswith(SQLITE)
