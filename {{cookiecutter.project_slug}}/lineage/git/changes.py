"""What each commit did to the files below a folder, as `git log` lists it.

Merges are left out: what only they bring, nobody has made.
"""

from __future__ import annotations

from dataclasses import dataclass

from .repository import Repository
from .states import PERMANENT

EVERYWHERE = (*PERMANENT, "HEAD")
LOG = (
    "--full-history",
    "--no-merges",
    "--raw",
    "--no-abbrev",
    "--no-renames",
    "--relative",
    "--reverse",
    "--topo-order",
)


@dataclass(frozen=True)
class Change:
    """One file that a commit added (A), changed (M, T) or removed (D)."""

    commit: str
    status: str
    blob: str  # its content from then on, by the name of Git's object
    path: str  # relative to the project's root


def changes_below(git: Repository, folders: tuple[str, ...], where: tuple[str, ...] = EVERYWHERE) -> list[Change]:
    """Each change below the folders that these refs lead to, oldest first."""
    found, commit = list[Change](), ""
    if not git.lines("rev-list", "--max-count=1", *where):
        return []
    for line in git.must("log", *where, *LOG, "--format=%H", "--", *folders):
        if line.startswith(":"):
            meta, _, path = line.partition("\t")
            *_, blob, status = meta.split()
            found.append(Change(commit, status, blob, path))
        else:
            commit = line or commit
    return found
