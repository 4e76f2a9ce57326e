"""Which objects of DVC a repository names: in any commit that Git still has, in one commit, in what lies here.

Names are looked for in the bytes of dvc.lock, of .dvc files and of lineage.json, wherever in the repository they lie:
what cannot be parsed, is of another pipeline, or is in the middle of a merge names objects all the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from ..dvc.dvcfile import DVC_LOCK
from ..git.blobs import SUBMODULE, Blobs
from ..git.repository import Repository
from ..git.states import State, states_anywhere
from ..git.tree import LINEAGE
from ..proof.decision import FOLDER as PROMOTIONS

NAME = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])(?:\.dir(?![0-9A-Za-z]))?")
COMMIT = re.compile(rb"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
IDENTITY = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
OUTS = re.compile(rb"^    outs:\n((?: {4}.*\n?)*)", re.MULTILINE)
HEAD = b"schema: '2.0'\nstages:\n"  # as DVC begins a dvc.lock
ADDED = ".dvc"  # the ending of what `dvc add` writes
PATTERNS = (DVC_LOCK, f"*{ADDED}", LINEAGE)
NOT_WALKED = (".git", ".venv", "node_modules", "mlartifacts", "__pycache__")


@dataclass
class Named:
    """The objects that something names: each with where, and the folders whose listings DVC must have made."""

    where: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def add(self, data: bytes, path: str, where: str) -> None:
        """Notes what the content of a file names."""
        for name in names_in(data):
            self.where.setdefault(name, where)
        self.made |= folders_made(data, path)

    def update(self, other: Named) -> None:
        self.where = {**other.where, **self.where}
        self.made |= other.made


def names_in(data: bytes) -> set[str]:
    """Every name of an object in some bytes, and what only looks like one."""
    return {name.decode() for name in NAME.findall(data)}


def folders_made(data: bytes, path: str) -> set[str]:
    """The folders that DVC keeps by a file: not those that a stage of dvc.lock only reads, as code, which Git keeps."""
    if PurePosixPath(path).name == LINEAGE:  # it names no folder that dvc.lock beside it does not
        return set()
    parts = OUTS.findall(data) if path.endswith(DVC_LOCK) and data.startswith(HEAD) else [data]
    return {name for part in parts for name in names_in(part) if name.endswith(".dir")}


class GitNames:
    """What the repository around `folder` names. Raises LineageError where Git cannot say it."""

    def __init__(self, folder: Path) -> None:
        self.git = Repository(folder)
        self._blobs = Blobs(folder)

    @cached_property
    def _states(self) -> tuple[list[tuple[int, State]], bool]:
        return states_anywhere(self.git, PATTERNS)

    @property
    def is_whole(self) -> bool:
        """Whether all that the reflog names could be read."""
        return self._states[1]

    @cached_property
    def ever(self) -> Named:
        """All that any commit names: of branches, tags, experiments, stashes, and of the reflog."""
        found, seen = Named(), set[tuple[str, bool]]()
        for _, state in sorted(self._states[0], key=lambda item: -item[0]):  # the newest is the one to show
            key = (state.blob, state.path.endswith(DVC_LOCK))
            if key not in seen:
                seen.add(key)
                found.add(self._blobs.get(state.blob), state.path, f"{state.path} of {state.commit[:12]}")
        return found

    def of_paths(self, paths: Iterable[str]) -> set[str]:
        """What any dvc.lock records for some paths."""
        wanted = b"|".join(re.escape(path.encode()) for path in sorted(paths))
        item = re.compile(rb"- path: (?:" + wanted + rb")\n(?: {6}.*\n)*? {6}md5: ([0-9a-f]{32}(?:\.dir)?)\n")
        blobs = {state.blob for _, state in self._states[0] if state.path.endswith(DVC_LOCK)}
        return {name.decode() for blob in blobs for name in item.findall(self._blobs.get(blob))} if wanted else set()

    def below(self, folder: str) -> set[str]:
        """What any .dvc file below a folder of the project, in any commit, names."""
        states = (state for _, state in self._states[0] if f"/{folder}/" in f"/{state.path}")
        return {name for blob in {state.blob for state in states} for name in names_in(self._blobs.get(blob))}

    def since(self, moment: float) -> list[str]:
        """The commits that changed such a file at that moment or later, in seconds since 1970."""
        return list(dict.fromkeys(state.commit for when, state in self._states[0] if when >= moment))

    @cache  # noqa: B019  lives as long as one command
    def of_commit(self, commit: str) -> Named:
        """What a commit names."""
        found = Named()
        for path, entry in self._blobs.files(commit, "").items():
            if entry.mode != SUBMODULE and is_of_dvc(path):
                found.add(self._blobs.get(entry.name), path, f"{path} of {commit[:12]}")
        return found

    @cached_property
    def tips(self) -> dict[str, str]:
        """The commits that people work on or have named, with what they are to them: by refs, stashes, worktrees."""
        found: dict[str, str] = {}
        pattern = "--format=%(refname) %(objectname) %(*objectname)"
        for name, commit, peeled in (line.split(" ") for line in self.git.must("for-each-ref", pattern)):
            if name.startswith("refs/replace/"):  # what a replacement holds was never committed
                continue
            found.setdefault(peeled or commit, _called(name))
            if name == "refs/stash" or (name.startswith("refs/exps/") and name.endswith(("stash", "failed"))):
                entries = self.git.lines("log", "--walk-reflogs", "--format=%H %P", name)  # empty where it was cut
                for entry in (*self.git.must("log", "--max-count=1", "--format=%H %P", name), *entries):
                    head, *parents = entry.split(" ")
                    for each in (head, *parents[1:]):  # what was staged, and what was not tracked
                        found.setdefault(each, _called(name))
        for line in self.git.lines("worktree", "list", "--porcelain"):
            if line.startswith("HEAD ") and line[5:].strip("0"):
                found.setdefault(line[5:], "HEAD of a worktree")
        return found

    @cached_property
    def promoted(self) -> tuple[dict[str, str], dict[str, str]]:
        """The commits, and the identities of models, that a decision about an alias names, in any commit ever."""
        commits, identities = dict[str, str](), dict[str, str]()
        for _, state in states_anywhere(self.git, (f"{PROMOTIONS}/**/*.json",))[0]:
            data = self._blobs.get(state.blob)
            commits |= dict.fromkeys((each.decode() for each in COMMIT.findall(data)), state.path)
            identities |= dict.fromkeys((each.decode() for each in IDENTITY.findall(data)), state.path)
        return commits, identities

    def contents(self, patterns: tuple[str, ...]) -> Iterator[tuple[bytes, str]]:
        """What files that match ever held, each content once, with where: in commits, staged, and beside what Git has.

        What Git ignores is not looked at.
        """
        seen = set[str]()
        for _, state in states_anywhere(self.git, patterns)[0]:
            if state.blob not in seen:
                seen.add(state.blob)
                yield self._blobs.get(state.blob), f"{state.path} of {state.commit[:12]}"
        wanted = [f":(top,glob)**/{pattern}" for pattern in patterns]
        for tree in self.git.worktrees():
            there = Repository(tree)
            for entry in (there.run("ls-files", "--stage", "-z", "--", *wanted) or "").split("\0")[:-1]:
                meta, _, name = entry.partition("\t")
                mode, blob, _ = meta.split()
                if mode != SUBMODULE and blob not in seen:
                    seen.add(blob)
                    yield self._blobs.get(blob), f"{name}, staged in {tree}"
            listed = there.run(
                "ls-files", "--cached", "--others", "--exclude-standard", "--full-name", "-z", "--", *wanted
            )
            for name in (listed or "").split("\0")[:-1]:
                if (path := tree / name).is_file():
                    yield path.read_bytes(), str(path)

    @cached_property
    def here(self) -> Named:
        """What lies in the worktrees and in what is staged there, temporary experiments included, names."""
        found = Named()
        for tree in self.git.worktrees():
            for path in _walked(tree):
                found.add(path.read_bytes(), path.name, str(path))
            index = Repository(tree).run("ls-files", "--stage", "-z", "--", *(f":(top,glob)**/{p}" for p in PATTERNS))
            for entry in filter(None, (index or "").split("\0")):
                meta, _, name = entry.partition("\t")
                found.add(self._blobs.get(meta.split()[1]), name, f"{name}, staged in {tree}")
        return found


def is_of_dvc(path: str) -> bool:
    """Whether a file names objects of DVC by what it is."""
    name = PurePosixPath(path).name
    return name in (DVC_LOCK, LINEAGE) or (name.endswith(ADDED) and name != ADDED)


def _called(ref: str) -> str:
    """A ref as people call it."""
    if ref == "refs/stash":
        return "a stash"
    for prefix, what in (("refs/heads/", "branch"), ("refs/tags/", "tag"), ("refs/remotes/", "branch")):
        if ref.startswith(prefix):
            return f"{what} {ref.removeprefix(prefix)}"
    return f"experiment {ref.rpartition('/')[2]}" if ref.startswith("refs/exps/") else ref


def _walked(tree: Path) -> Iterator[Path]:
    """The files below a worktree that name objects. What cannot be read is an error: it may name some."""
    for folder, folders, files in os.walk(tree, onerror=_raise):
        folders[:] = _to_walk(Path(folder), folders)
        yield from (path for name in files if is_of_dvc(name) and (path := Path(folder, name)).is_file())


def _to_walk(folder: Path, names: Iterable[str]) -> list[str]:
    is_cache = folder.name == ".dvc"
    return [name for name in names if name not in NOT_WALKED and not (is_cache and name == "cache")]


def _raise(error: OSError) -> None:
    raise error
