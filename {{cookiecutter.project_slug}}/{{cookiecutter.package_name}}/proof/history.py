"""What Git's history holds, by hash: every state that dvc.lock, .dvc files and lineage.json ever had, in any ref."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ..errors import LineageError
from ..lineage.git import Repository
from ..lineage.hashes import Hashed, hash_bytes, md5_of_listing
from ..lineage.ignore import DVCIGNORE, Ignored
from ..pipeline.dvcfile import DVC_LOCK, PARAMS_FILE, Lock, Pipeline, parse_pipeline
from ..pipeline.yaml12 import parse_yaml
from ..strict_json import parse
from .blobs import SUBMODULE, Blobs, Entry

COMMIT = re.compile(r"[0-9a-f]{40}")
LINEAGE = "lineage.json"
NEVER = 253_370_764_800  # the year 9999: later than any clock, and a time still
PERMANENT = ("--branches", "--tags", "--remotes")  # where commits stay; experiments' refs go when these are removed
EVERYWHERE = ("--exclude=refs/replace/*", "--all", "HEAD")  # what a replacement holds was never committed


def moment_of_commit(text: str) -> int:
    """A commit's time as Git prints it, in seconds since 1970. What is no time is later than any: it dates nothing."""
    try:
        moment = int(text)
    except ValueError:
        return NEVER
    return min(moment, NEVER) if moment > 0 else NEVER  # Git prints 0 for what it cannot read


@dataclass(frozen=True)
class State:
    """One content that a file was given by a commit."""

    commit: str
    path: str  # relative to the project's root
    blob: str


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

    def require_complete(self) -> None:
        """Raises LineageError where this clone may lack commits: one that is not here is then not gone."""
        if self.is_shallow:
            raise LineageError(
                "this clone is shallow: older commits are not here. `git fetch --unshallow`, then ask again."
            )
        if self.remote and not self.knows_all_tips:
            raise LineageError(
                f"{self.remote} has commits that this clone does not. `git fetch {self.remote}`, then ask again."
            )

    @cached_property
    def states(self) -> list[State]:
        """Every state of the files of lineage in all refs, oldest first, those on branches and tags before others."""
        permanent = self._states(PERMANENT)
        known = set(permanent)
        return [*permanent, *(state for state in self._states(EVERYWHERE) if state not in known)]

    def _states(self, refs: tuple[str, ...]) -> list[State]:
        # -m and --full-history: what a merge brought in, and what it dropped with a side branch
        if not self.git.lines("rev-list", "--max-count=1", *refs):
            return []
        files = (DVC_LOCK, "*.dvc", LINEAGE)
        command = ("log", *refs, "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--relative")
        changes = _changes(self.git.must(*command, "--format=%H", "--", *files))
        found = dict.fromkeys(State(commit, path, blob) for commit, path, blob in changes)
        return list(reversed(found))

    @cached_property
    def witnessed(self) -> list[tuple[int, State]]:
        """Every state of dvc.lock and lineage.json with its commit's time (seconds since 1970, in UTC), oldest first.

        Beside all refs, experiments and stashes, the reflog counts where it is at hand: what was amended away was made.
        """
        if not self.git.lines("rev-list", "--max-count=1", "--all", "HEAD", "--"):
            return []
        command = ("log", "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--relative")
        limits = ("--format=%H %ct", "--", DVC_LOCK, LINEAGE)
        lines = self.git.run(*command, "--all", "--reflog", "HEAD", *limits)  # fails where a reflog names what is gone
        known = self.git.must(*command, "--all", "HEAD", *limits) if lines is None else lines.splitlines()
        found: list[tuple[int, State]] = []
        for head, path, blob in _changes(known):
            commit, _, moment = head.partition(" ")
            found.append((moment_of_commit(moment), State(commit, path, blob)))
        return sorted(found, key=lambda item: item[0])

    @cached_property
    def times(self) -> dict[str, int]:
        """When each commit here was made, by its committer: seconds since 1970, in UTC."""
        command = ("rev-list", "--timestamp", "--all", "HEAD", "--")
        lines = self.git.run("rev-list", "--timestamp", "--all", "--reflog", "HEAD", "--") or self.git.run(*command)
        pairs = (line.rpartition(" ") for line in (lines or "").splitlines())
        return {commit: moment_of_commit(moment) for moment, _, commit in pairs}

    @cache  # noqa: B019  lives as long as one command
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

    def blob(self, name: str) -> bytes:
        """The content of a file of any commit, by the name of Git's object. Raises LineageError if there is none."""
        return self._blobs.get(name)

    def read(self, commit: str, path: str) -> bytes | None:
        """The content of a file of the project at a commit; None if there is none."""
        return self._blobs.at(commit, f"{self.prefix}{path}")

    def lock(self, commit: str) -> Lock:
        """The stages of dvc.lock at a commit; empty if it has none or one that cannot be read."""
        return _stages(self.read(commit, DVC_LOCK))

    @cache  # noqa: B019
    def pipeline(self, commit: str) -> Pipeline:
        """dvc.yaml at a commit; without stages if it has none or one that cannot be read."""
        return parse_pipeline(_mapping(self.read(commit, "dvc.yaml")), self.params(commit, PARAMS_FILE))

    @cache  # noqa: B019
    def document(self, commit: str) -> dict[str, Any] | None:
        """lineage.json at a commit; None if there is none that can be read."""
        try:
            document = parse(self.read(commit, LINEAGE) or b"")
        except ValueError:
            return None
        return document if isinstance(document, dict) and document.get("model") else None

    @cache  # noqa: B019
    def params(self, commit: str, path: str) -> dict[str, Any]:
        """A file of parameters at a commit; empty if there is none that can be read."""
        return _mapping(self.read(commit, path))

    @cache  # noqa: B019
    def added(self, commit: str) -> dict[str, str]:
        """What `dvc add` and `dvc import-url` keep: hash by path, from the .dvc files of the commit."""
        found = {}
        for file in (name for name in self._tree(commit) if name.endswith(".dvc")):
            for out in self.params(commit, file).get("outs") or []:
                if out.get("md5"):
                    found[(PurePosixPath(file).parent / out["path"]).as_posix()] = str(out["md5"])
        return found

    @cache  # noqa: B019
    def content(self, commit: str, path: str) -> tuple[Hashed, ...] | None:
        """The files of the commit's tree at or below `path`, as dvc would hash them; None if there are none.

        A file has its own name as path, a file of a folder its path in the folder. Raises LineageError for a submodule:
        its files are in another repository.
        """
        tree = self._tree(commit)
        if submodule := next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in tree), None):
            raise LineageError(
                f"{path} is in the submodule {submodule}: its files are in no commit of this repository."
            )
        if path in tree:
            return (self._hashed(path, tree[path], PurePosixPath(path).name),)
        ignored = self._ignored(commit)
        below = {name: entry for name, entry in tree.items() if name.startswith(f"{path}/") and not ignored(name)}
        return tuple(self._hashed(name, file, name.removeprefix(f"{path}/")) for name, file in below.items()) or None

    def md5(self, commit: str, path: str) -> str | None:
        """The hash that dvc gives to a file or folder of the commit's tree; None if there is none."""
        files = self.content(commit, path)
        if files is None:
            return None
        return files[0].md5 if path in self._tree(commit) else md5_of_listing({file.path: file.md5 for file in files})

    @cache  # noqa: B019
    def _ignored(self, commit: str) -> Ignored:
        lists = [path for path in self._tree(commit) if PurePosixPath(path).name == DVCIGNORE]
        return Ignored({path: (self.read(commit, path) or b"").decode(errors="replace") for path in lists})

    @cache  # noqa: B019
    def _hashed(self, path: str, entry: Entry, name: str) -> Hashed:
        if entry.mode == SUBMODULE:
            raise LineageError(f"{path} is a submodule: its files are in no commit of this repository.")
        return hash_bytes(self.blob(entry.name), name)

    @cache  # noqa: B019
    def _tree(self, commit: str) -> dict[str, Entry]:
        """Files and submodules by path, relative to the project."""
        return self._blobs.files(commit, self.prefix)

    @cache  # noqa: B019
    def resolve(self, revision: str) -> str | None:
        """The commit that a revision names; None if it names none."""
        if revision.startswith("-"):
            return None
        if COMMIT.fullmatch(revision) and self.is_reachable(revision):
            return revision  # without asking Git again: there may be hundreds
        return self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")

    def is_reachable(self, commit: str) -> bool:
        """Whether a ref or HEAD leads to the commit, so that Git will keep it."""
        return commit in self._reachable

    def is_permanent(self, commit: str) -> bool:
        """Whether a branch or tag, of this repository or of a remote, leads to the commit."""
        return commit in self._permanent

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
    def data_tags(self) -> dict[str, str]:
        """Commit by Git tag of the data (`data/*`)."""
        pattern = "--format=%(refname:lstrip=2) %(objectname) %(*objectname)"
        lines = [line.split() for line in self.git.lines("for-each-ref", "refs/tags/data", pattern)]
        return {line[0]: line[-1] for line in lines}  # the third name is the commit of an annotated tag

    def experiment(self, name: str) -> str | None:
        """The commit of a DVC experiment; None if there is none of this name."""
        lines = self.git.lines("for-each-ref", "refs/exps", "--format=%(refname) %(objectname)")
        found = [line.split() for line in lines]
        return next((commit for ref, commit in found if ref.count("/") == 4 and ref.endswith(f"/{name}")), None)

    @cached_property
    def worktrees(self) -> list[Path]:
        """The folder of the project in the other worktrees of the repository, where there is one."""
        places = [tree / self.prefix for tree in self.git.worktrees()]
        here = self.git.folder.resolve()
        return [place for place in places if place.is_dir() and place.resolve() != here]

    @cached_property
    def remote(self) -> str | None:
        """The Git remote that the project is pushed to; None without one."""
        remotes = self.git.lines("remote")
        return "origin" if "origin" in remotes else remotes[0] if remotes else None

    @cached_property
    def _remote_tips(self) -> dict[str, str]:
        """The commits that branches, tags and experiments of the remote point at now, by ref. Asks the remote."""
        kinds = ("refs/heads/*", "refs/tags/*", "refs/exps/*")
        lines = self.git.must("ls-remote", "--quiet", str(self.remote), *kinds)
        return {ref: commit for commit, _, ref in (line.partition("\t") for line in lines)}

    def commits_changing(self, path: str) -> list[str]:
        """The commits of any ref that gave a file of the project another content."""
        return self.git.lines("log", "--all", "HEAD", "--full-history", "-m", "--format=%H", "--", path)

    def tag_on_remote(self, tag: str) -> bool:
        """Whether the remote has a tag of this name. Asks the remote."""
        return f"refs/tags/{tag}" in self._remote_tips

    def tag_commit_on_remote(self, tag: str) -> str | None:
        """The commit that a tag names on the remote now; None if it has no such tag. Asks the remote."""
        tips = self._remote_tips
        return tips.get(f"refs/tags/{tag}^{{}}") or tips.get(f"refs/tags/{tag}")

    def is_pushed(self, commit: str) -> bool | None:
        """Whether the remote's refs lead to the commit; None where only commits not fetched yet could."""
        return True if commit in self._pushed else False if self.knows_all_tips else None

    @cached_property
    def _pushed(self) -> frozenset[str]:
        here = [tip for tip in sorted({*self._remote_tips.values()}) if self.resolve(tip)]
        return frozenset(self.git.must("rev-list", *here)) if here else frozenset()

    @cached_property
    def not_fetched(self) -> list[str]:
        """The branches, tags and experiments of the remote whose commits are not here. Asks the remote."""
        return sorted(ref for ref, tip in self._remote_tips.items() if not self.resolve(tip))

    @cached_property
    def other_locks(self) -> list[State]:
        """Every state of a dvc.lock that is not this project's own: of another pipeline, or where it lay before."""
        command = ("log", "--all", "HEAD", "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames")
        found: dict[str, State] = {}
        lines = self.git.lines(*command, "--format=%H", "--", f":(top,glob)**/{DVC_LOCK}")
        for commit, path, blob in _changes(lines):
            if path != f"{self.prefix}{DVC_LOCK}":
                found.setdefault(blob, State(commit, path, blob))
        return list(found.values())

    @cached_property
    def knows_all_tips(self) -> bool:
        """Whether every branch and tag of the remote was fetched. Experiments are fetched by name only."""
        tips = (commit for ref, commit in self._remote_tips.items() if not ref.startswith("refs/exps/"))
        return all(self.resolve(tip) for tip in tips)


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


def _dataset_of(data: bytes) -> dict[str, Any]:
    """The section `dataset` of a lineage.json; empty if it cannot be read."""
    try:
        document = parse(data)
    except ValueError:
        return {}
    dataset = document.get("dataset") if isinstance(document, dict) else None
    return dataset if isinstance(dataset, dict) else {}


@cache
def _stages(data: bytes | None) -> Lock:
    stages = _mapping(data).get("stages")
    return stages if isinstance(stages, dict) else {}


def _mapping(data: bytes | None) -> dict[str, Any]:
    try:
        document = parse_yaml(data or b"")
    except yaml.YAMLError:
        return {}
    return document if isinstance(document, dict) else {}
