"""What Git's history holds, by hash: every state that dvc.lock, .dvc files and lineage.json ever had, in any ref."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ..base.errors import LineageError
from ..base.strict_json import parse
from ..base.yaml12 import parse_mapping
from ..contract import Role
from ..dvc.dvcfile import DVC_LOCK, DVC_YAML, Lock, locked_hash
from .blobs import Blobs
from .remote import GitRemote
from .repository import Repository
from .roles import Roles
from .states import EVERYWHERE, PERMANENT, State, locks_beside, states_in, witnessed_states
from .times import times_of_commits
from .tree import LINEAGE, Tree

COMMIT = re.compile(r"[0-9a-f]{40}")
DATA_TAGS = "data/"  # what the name of a Git tag of the data begins with


def join_versions(tags: Iterable[str]) -> str | None:
    """Tags of the data as the value of `data_version`; None if there are none."""
    return ", ".join(sorted(tag.removeprefix(DATA_TAGS) for tag in tags)) or None


@dataclass(frozen=True)
class CommitInfo:
    """What a person wants to know of a commit."""

    id: str
    date: str  # ISO 8601, with zone
    author: str  # name and address
    subject: str


class History:
    """The history of the project in one folder of a repository. Look-ups are shared between questions.

    Raises LineageError where Git fails; a commit that does not exist is None, False or an empty answer.
    """

    def __init__(self, root: Path) -> None:
        self.git = Repository(root)
        #: of the project in the repository: empty, or ending in a slash
        self.prefix = "".join(self.git.must("rev-parse", "--show-prefix"))
        self._blobs = Blobs(root)

    @cache  # noqa: B019  lives as long as one command
    def at(self, commit: str) -> Tree:
        """The project as a commit holds it; any name of the commit will do."""
        return Tree(self._blobs, self.prefix, commit)

    def blob(self, name: str) -> bytes:
        """The content of a file of any commit, by the name of Git's object. Raises LineageError if there is none."""
        return self._blobs.get(name)

    @cached_property
    def replaced(self) -> int:
        """How many objects have a stand-in here, by `git replace` or a graft. None of them is believed."""
        grafts = self.git.run("rev-parse", "--git-path", "info/grafts")
        path = self.git.folder / str(grafts)
        grafted = path.read_text(errors="replace").split("\n") if path.is_file() else []
        lines = [line for line in grafted if line.strip() and not line.startswith("#")]
        return len(self.git.lines("for-each-ref", "refs/replace/")) + len(lines)

    @cached_property
    def is_shallow(self) -> bool:
        """Whether this clone lacks older commits."""
        return self.git.must("rev-parse", "--is-shallow-repository") == ["true"]

    @cached_property
    def boundary(self) -> frozenset[str]:
        """The commits of a shallow clone that seem to bring what older ones may have brought, which are not here."""
        return self.git.boundary()

    @cached_property
    def remote(self) -> GitRemote:
        """The Git remote that the project is pushed to."""
        return GitRemote(self.git, self.resolve)

    def require_complete(self) -> None:
        """Raises LineageError where this clone may lack commits: one that is not here is then not gone."""
        if self.is_shallow:
            raise LineageError(
                "this clone is shallow: older commits are not here. `git fetch --unshallow`, then ask again."
            )
        if self.remote.name and not self.remote.is_fetched:
            raise LineageError(
                f"{self.remote.name} has commits that this clone does not. `git fetch {self.remote.name}`, then ask "
                "again."
            )

    @cached_property
    def states(self) -> list[State]:
        """Every state of the files of lineage in all refs, oldest first, those on branches and tags before others."""
        known = set(self._on_branches)
        return [*self._on_branches, *(state for state in states_in(self.git, EVERYWHERE) if state not in known)]

    @cached_property
    def _on_branches(self) -> list[State]:
        return states_in(self.git, PERMANENT)

    @cached_property
    def witnessed(self) -> list[tuple[int, State]]:
        """Every state of dvc.lock and lineage.json with its commit's time (seconds since 1970, in UTC), oldest first.

        Beside all refs, experiments and stashes, the reflog counts where it is at hand: what was amended away was made.
        """
        return [(moment, state) for moment, state in self._witnessed if state.path != DVC_YAML]

    @cached_property
    def _witnessed(self) -> list[tuple[int, State]]:
        return witnessed_states(self.git)

    @cached_property
    def other_locks(self) -> list[State]:
        """Every state of a dvc.lock that is not this project's own: of another pipeline, or where it lay before."""
        return locks_beside(self.git, self.prefix)

    @cached_property
    def times(self) -> dict[str, int]:
        """When each commit here was made, by its committer: seconds since 1970, in UTC."""
        return times_of_commits(self.git)

    @cached_property
    def roles(self) -> Roles:
        """Every role that a dvc.yaml of any commit, of this folder or of another worktree has given."""
        blobs = {state.blob for _, state in self._witnessed if state.path == DVC_YAML}
        contents = [self.blob(blob) for blob in sorted(blobs)]
        for folder in (self.git.folder, *self.worktrees):
            with suppress(OSError):
                contents.append((folder / DVC_YAML).read_bytes())
        return Roles.of(map(parse_mapping, contents))

    def datasets_made(self, lock: Lock) -> frozenset[str]:
        """The dataset versions that a dvc.lock of any commit records as made, whatever dvc.yaml beside it says now."""
        paths = self.roles.paths(Role.DATASET)
        found = (locked_hash(entry, "outs", path) for entry in lock.values() for path in paths)
        return frozenset(md5 for md5 in found if md5)

    def predictions_about(self, lock: Lock, datasets: Collection[str]) -> set[str]:
        """What a dvc.lock of any commit records as predicted for records of some dataset versions."""
        read, made = self.roles.paths(Role.DATASET), self.roles.paths(Role.PREDICTIONS)
        entries = (each for each in lock.values() if any(locked_hash(each, "deps", path) in datasets for path in read))
        found = (locked_hash(entry, "outs", path) for entry in entries for path in made)
        return {md5 for md5 in found if md5}

    @cache  # noqa: B019
    def subject_roots(self, dataset: str) -> frozenset[str]:
        """The Merkle roots that any lineage.json, of the reflog too, names for a dataset version."""
        states = (*self.states, *(state for _, state in self.witnessed))
        blobs = {state.blob for state in states if state.path == LINEAGE}
        found = (_dataset_of(self.blob(blob)) for blob in blobs if dataset.encode() in self.blob(blob))
        return frozenset(str((each.get("subjects") or {}).get("root")) for each in found if each.get("md5") == dataset)

    @cache  # noqa: B019
    def commits_holding(self, text: str, *, path: str | None = None) -> tuple[str, ...]:
        """The commits that gave dvc.lock or a .dvc file (or `path` alone) a content with `text`, best first."""
        wanted = text.encode()
        return tuple(
            dict.fromkeys(
                state.commit
                for state in self.states
                if (state.path == path if path else state.path != LINEAGE) and wanted in self.blob(state.blob)
            )
        )

    def commits_changing(self, path: str) -> list[str]:
        """The commits of any ref that gave a file of the project another content."""
        return self.git.lines("log", "--all", "HEAD", "--full-history", "-m", "--format=%H", "--", path)

    def data_commit(self, md5: str) -> str | None:
        """The commit that first recorded a dataset version: the oldest on a branch or tag, else the oldest of any.

        None where an older one, which this clone lacks, may have.
        """
        commit = next(iter(self.commits_holding(md5)), None)
        return None if commit in self.boundary else commit

    @cached_property
    def data_tags(self) -> dict[str, str]:
        """Commit by Git tag of the data (`data/*`)."""
        pattern = "--format=%(refname:lstrip=2) %(objectname) %(*objectname)"
        lines = [line.split() for line in self.git.lines("for-each-ref", "refs/tags/data", pattern)]
        return {line[0]: line[-1] for line in lines}  # the third name is the commit of an annotated tag

    def data_version(self, md5: str) -> str | None:
        """The Git tags of the data (without `data/`) whose commits record this dataset version; None without one.

        Several are one text, sorted and separated by a comma and a blank, which no name of a tag can hold.
        """
        tagged = ((tag, self.at(commit)) for tag, commit in self.data_tags.items())
        holding = ((tag, tree) for tag, tree in tagged if md5.encode() in (tree.read(DVC_LOCK) or b""))
        return join_versions(tag for tag, tree in holding if tree.recorded.made(Role.DATASET) == md5)

    @cache  # noqa: B019
    def resolve(self, revision: str) -> str | None:
        """The commit that a revision names; None if it names none."""
        if revision.startswith("-"):
            return None
        if COMMIT.fullmatch(revision) and self.is_reachable(revision):
            return revision  # without asking Git again: there may be hundreds
        return self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")

    def experiment(self, name: str) -> str | None:
        """The commit of a DVC experiment; None if there is none of this name."""
        lines = self.git.lines("for-each-ref", "refs/exps", "--format=%(refname) %(objectname)")
        found = [line.split() for line in lines]
        return next((commit for ref, commit in found if ref.count("/") == 4 and ref.endswith(f"/{name}")), None)

    def is_reachable(self, commit: str) -> bool:
        """Whether a ref or HEAD leads to the commit, so that Git will keep it."""
        return commit in self._reachable

    def is_permanent(self, commit: str) -> bool:
        """Whether a branch or tag, of this repository or of a remote, leads to the commit."""
        return commit in self._permanent

    def is_on_branch(self, commit: str) -> bool:
        """Whether a commit that gave a file of lineage another content is on a branch or under a tag."""
        return any(state.commit == commit for state in self._on_branches)

    @cached_property
    def _reachable(self) -> frozenset[str]:
        return self._permanent | frozenset(self.git.must("rev-list", *EVERYWHERE))

    @cached_property
    def _permanent(self) -> frozenset[str]:
        return frozenset(self.git.must("rev-list", *PERMANENT))

    @cache  # noqa: B019
    def info(self, commit: str) -> CommitInfo:
        """Date, author and subject of a commit."""
        (line,) = self.git.must("show", "--no-patch", "--format=%H%x00%cI%x00%an <%ae>%x00%s", commit)
        return CommitInfo(*line.split("\0"))

    @cache  # noqa: B019
    def refs(self, commit: str) -> tuple[str, ...]:
        """The refs that point at the commit, shortened as people write them."""
        return tuple(self.git.lines("for-each-ref", "--points-at", commit, "--format=%(refname:short)"))

    @cached_property
    def worktrees(self) -> list[Path]:
        """The folder of the project in the other worktrees of the repository, where there is one."""
        places = [tree / self.prefix for tree in self.git.worktrees()]
        here = self.git.folder.resolve()
        return [place for place in places if place.is_dir() and place.resolve() != here]


def _dataset_of(data: bytes) -> dict[str, Any]:
    """The section `dataset` of a lineage.json; empty if it cannot be read."""
    try:
        document = parse(data)
    except ValueError:
        return {}
    dataset = document.get("dataset") if isinstance(document, dict) else None
    return dataset if isinstance(dataset, dict) else {}
