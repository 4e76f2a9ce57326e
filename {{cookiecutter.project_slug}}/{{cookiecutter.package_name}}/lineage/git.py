"""What Git says. Where Git cannot give an answer it is None, empty or an error: a fact is never guessed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..errors import LineageError

NAMING_A_REPOSITORY = {
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
}


# Written by runs, so they differ from the commit in nearly every run; dvc.lock and params.yaml are lineage, not code.
WRITTEN_BY_RUNS = ("params.yaml", "dvc.lock", "lineage.json")


def git_environment() -> dict[str, str]:
    """The environment without what a Git hook finds set there, which names another repository than one's folder."""
    return {key: value for key, value in os.environ.items() if key not in NAMING_A_REPOSITORY}


DUBIOUS = "dubious ownership"  # what Git says of a repository of another user, and looks no further


@dataclass(frozen=True)
class Repository:
    """The Git repository around `folder`; `folder` may be a subdirectory of it."""

    folder: Path

    def run(self, *arguments: str, index: Path | None = None) -> str | None:
        """Standard output of a git command without the last newline, or None if it fails."""
        done = self._call(arguments, index)
        return done.stdout.rstrip("\n") if done is not None and done.returncode == 0 else None

    def must(self, *arguments: str) -> list[str]:
        """The lines of a git command's output. Raises LineageError with Git's own words if it fails."""
        done = self._call(arguments, None)
        if done is None or done.returncode != 0:
            reason = done.stderr.strip().splitlines()[:1] if done is not None else ["Git is not installed"]
            raise LineageError(f"Git cannot say what the lineage needs: git {arguments[0]}: {' '.join(reason)}")
        return done.stdout.splitlines()

    def refusal(self, *arguments: str) -> str | None:
        """Why a git command that changes something fails, in Git's own words; None if it does not."""
        done = self._call(arguments, None)
        if done is None:
            return "Git is not installed"
        said = " / ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        return None if done.returncode == 0 else said[:500] or f"exit status {done.returncode}"

    def _call(self, arguments: tuple[str, ...], index: Path | None) -> subprocess.CompletedProcess[str] | None:
        # in English: what it refuses is told apart by its words
        environment = {**git_environment(), "GIT_OPTIONAL_LOCKS": "0", "LANGUAGE": "en"}
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        command = [
            "git",
            "-C",
            str(self.folder),
            "-c",
            "core.quotepath=off",
            "-c",
            "log.showSignature=false",
            *arguments,
        ]
        options: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "check": False, "env": environment}
        try:
            return subprocess.run(command, capture_output=True, **options)
        except FileNotFoundError:
            return None

    def lines(self, *arguments: str) -> list[str]:
        """The lines of a git command's output; none if it fails."""
        return (self.run(*arguments) or "").splitlines()

    def head(self) -> str | None:
        """The commit checked out; None before the first one."""
        return self.run("rev-parse", "--verify", "--quiet", "HEAD")

    def branch(self) -> str | None:
        """The branch checked out; None if HEAD is detached."""
        return self.run("symbolic-ref", "--short", "--quiet", "HEAD")

    def default_branch(self) -> str | None:
        """The branch that the others go out from, as origin, or else its usual name, says; None if nothing does."""
        if head := self.run("symbolic-ref", "--short", "--quiet", "refs/remotes/origin/HEAD"):
            return head.removeprefix("origin/")
        local = self.lines("for-each-ref", "refs/heads", "--format=%(refname:lstrip=2)")
        usual = [name for name in ("main", "master") if name in local]
        return usual[0] if usual else local[0] if len(local) == 1 else None

    def url(self) -> str | None:
        """Where the repository is hosted, without user and password: of `origin`, or else of the only remote."""
        remotes = self.lines("remote")
        name = "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else None
        url = self.run("remote", "get-url", name) if name else None
        return strip_user(url) if url else None

    def changed_files(self) -> list[str] | None:
        """Tracked files of this folder that differ from HEAD, those that runs write left out; None without a commit.

        Compares contents through an index of its own: `git status` trusts time stamps, which are equal when a
        temporary experiment was checked out within the same second.
        """
        if self.head() is None:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            index = Path(scratch) / "index"
            pathspec = ["--", ".", *(f":(exclude){name}" for name in WRITTEN_BY_RUNS)]
            if (
                self.run("read-tree", "HEAD", index=index) is None
                or self.run("add", "-u", *pathspec, index=index) is None
            ):
                return None
            changed = self.run("diff", "--cached", "--name-only", "--relative", "HEAD", index=index)
        return None if changed is None else changed.splitlines()

    def untracked_files(self, paths: tuple[str, ...], *, ignored: bool = True) -> list[str]:
        """Files below `paths` that Git does not track, ignored ones too if `ignored`: dvc hashes them.

        What `dvc add` keeps counts as its .dvc file does: that is what Git has to track.
        """
        if not paths:
            return []
        paths = tuple(f"{path}.dvc" if (self.folder / f"{path}.dvc").is_file() else path for path in paths)
        options = () if ignored else ("--exclude-standard",)
        found = self.must("ls-files", "--others", *options, "--", *paths)
        return [path for path in found if "__pycache__" not in path and not path.endswith((".pyc", ".partial"))]

    def first_commit_holding(self, md5: str) -> str | None:
        """The oldest commit on a branch or tag whose dvc.lock or a .dvc file of this folder holds `md5`.

        `-S` with `--full-history -m` also finds what a merge dropped or brought in; it reports removals too, so each
        commit found is asked whether it holds the hash. None where older ones, not in this clone, may.
        """
        files = ("dvc.lock", "*.dvc")
        refs = ("--branches", "--tags", "--remotes")
        found = self.must("log", *refs, "--full-history", "-m", f"-S{md5}", "--format=%H", "--", *files)
        for commit in reversed(list(dict.fromkeys(found))):
            if self.run("grep", "-qF", md5, commit, "--", *files) is not None:
                return None if commit in self.boundary() else commit
        return None

    def boundary(self) -> frozenset[str]:
        """The commits of a shallow clone whose parents are not in it: they seem to bring all that they hold."""
        path = self.run("rev-parse", "--git-path", "shallow")
        file = self.folder / path if path else None
        return frozenset(file.read_text(encoding="ascii").split()) if file and file.is_file() else frozenset()

    def tags_holding(self, md5: str, prefix: str) -> list[str]:
        """Tags whose names begin with `prefix` and whose dvc.lock or a .dvc file of this folder holds `md5`."""
        tags = self.lines("for-each-ref", f"refs/tags/{prefix}", "--format=%(refname:lstrip=2)")
        command = ("grep", "-qF", md5)
        return [tag for tag in tags if self.run(*command, f"refs/tags/{tag}", "--", "dvc.lock", "*.dvc") is not None]


def strip_user(url: str) -> str:
    """`url` without user name and password. Paths and `git@host:path` come back as they are, less the user's part."""
    parts = urlsplit(url)
    if parts.scheme and "@" in parts.netloc:
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return url
