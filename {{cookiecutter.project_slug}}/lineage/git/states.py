"""Which content each commit gave the files of lineage, as `git log` lists it: through merges and side branches too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..dvc.dvcfile import DVC_LOCK, DVC_YAML
from .repository import Repository
from .times import moment_of_commit
from .tree import LINEAGE

PERMANENT = ("--branches", "--tags", "--remotes")  # where commits stay; experiments' refs go when these are removed
EVERYWHERE = ("--exclude=refs/replace/*", "--all", "HEAD")  # what a replacement holds was never committed
# -m and --full-history: what a merge brought in, and what it dropped with a side branch
LOG = ("--full-history", "-m", "--raw", "--no-abbrev", "--no-renames")


@dataclass(frozen=True)
class State:
    """One content that a file was given by a commit."""

    commit: str
    path: str  # relative to the project's root
    blob: str


def states_in(git: Repository, refs: tuple[str, ...]) -> list[State]:
    """Every state of dvc.lock, .dvc files and lineage.json that the refs lead to, oldest first."""
    if not git.lines("rev-list", "--max-count=1", *refs):
        return []
    changes = _changes(git.must("log", *refs, *LOG, "--relative", "--format=%H", "--", DVC_LOCK, "*.dvc", LINEAGE))
    found = dict.fromkeys(State(commit, path, blob) for commit, path, blob in changes)
    return list(reversed(found))


def witnessed_states(git: Repository) -> list[tuple[int, State]]:
    """Every state of dvc.lock, lineage.json and dvc.yaml with its commit's time, oldest first, of the reflog too."""
    if not git.lines("rev-list", "--max-count=1", "--all", "HEAD", "--"):
        return []
    command = ("log", *LOG, "--relative")
    limits = ("--format=%H %ct", "--", DVC_LOCK, LINEAGE, DVC_YAML)
    lines = git.run(*command, "--all", "--reflog", "HEAD", *limits)  # fails where a reflog names what is gone
    known = git.must(*command, "--all", "HEAD", *limits) if lines is None else lines.splitlines()
    found: list[tuple[int, State]] = []
    for head, path, blob in _changes(known):
        commit, _, moment = head.partition(" ")
        found.append((moment_of_commit(moment), State(commit, path, blob)))
    return sorted(found, key=lambda item: item[0])


def locks_beside(git: Repository, prefix: str) -> list[State]:
    """Every state of a dvc.lock that does not lie at `prefix`. Its path is relative to the repository's root."""
    found: dict[str, State] = {}
    lines = git.lines("log", "--all", "HEAD", *LOG, "--format=%H", "--", f":(top,glob)**/{DVC_LOCK}")
    for commit, path, blob in _changes(lines):
        if path != f"{prefix}{DVC_LOCK}":
            found.setdefault(blob, State(commit, path, blob))
    return list(found.values())


def states_anywhere(git: Repository, patterns: tuple[str, ...]) -> tuple[list[tuple[int, State]], bool]:
    """Every state of the files that match, wherever they lie in the repository, with its commit's time.

    All refs, HEAD and the reflog count; paths are relative to the repository's root. And whether all of the reflog
    could be read: one may name what is gone.
    """
    if not git.lines("rev-list", "--max-count=1", *EVERYWHERE, "--"):
        return [], True
    limits = ("--format=%H %ct", "--", *(f":(top,glob)**/{pattern}" for pattern in patterns))
    lines = git.run("log", *LOG, "--all", "--reflog", "HEAD", *limits)
    known = git.must("log", *LOG, "--all", "HEAD", *limits) if lines is None else lines.split("\n")
    found: dict[State, int] = {}
    for head, path, blob in _changes(known):
        commit, _, moment = head.partition(" ")
        found.setdefault(State(commit, path, blob), moment_of_commit(moment))
    return [(moment, state) for state, moment in found.items()], lines is not None


def _changes(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """What `git log --raw` prints: the line of the commit, then path and new blob of each file that was not removed."""
    head = ""
    for line in lines:
        if not line.startswith(":"):
            head = line or head
            continue
        meta, _, path = line.partition("\t")
        blob = meta.split()[3]
        if blob.strip("0"):  # all zeros: removed
            yield head, path, blob
