"""What Git says. Where Git cannot give an answer it is None, empty or an error: a fact is never guessed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..base.errors import LineageError
from .code import takes_part

# Of a user's variables Git hears those that say who connects, and how. Any other could name another repository, other
# objects or other contents than those that lie here: a Git hook finds some of them set, an attacker sets the rest.
LET_THROUGH = (
    "GIT_CONFIG_",  # where the user's configuration is: safe.directory, credentials
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_HTTP_",
    "GIT_PROXY_",
    "GIT_PROTOCOL",
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_TERMINAL_PROMPT",
    "GIT_EXEC_PATH",
    "GIT_TRACE",
    "GIT_CURL_",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
)
# An object is what its name says. Replacements, grafts and the file of commits could say otherwise.
AS_NAMED = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
# Whatever a repository or a user has configured, these questions get the same answers.
SETTINGS = (
    "core.quotepath=off",
    "core.useReplaceRefs=false",
    "core.commitGraph=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.ignoreStat=false",
    "core.sparseCheckout=false",
    f"core.attributesFile={os.devnull}",
    "advice.graftFileDeprecated=false",
    "log.showSignature=false",
    "log.showRoot=true",
    "log.follow=false",
    "log.diffMerges=separate",
    "diff.noprefix=false",
    "submodule.recurse=false",
    "color.ui=never",
    "column.ui=never",
)

# Written by runs, so they differ from the commit in nearly every run; dvc.lock and params.yaml are lineage, not code.
WRITTEN_BY_RUNS = ("params.yaml", "dvc.lock", "lineage.json")


def git_environment() -> dict[str, str]:
    """The environment for a command that calls Git: without what could make Git answer for something else."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or _is_let_through(key)}
    return {**kept, **AS_NAMED}


def git_command(folder: Path, *arguments: str) -> list[str]:
    """The command line that asks Git in `folder`."""
    settings = [part for setting in SETTINGS for part in ("-c", setting)]
    return ["git", "-C", str(folder), *settings, *arguments]


def _is_let_through(variable: str) -> bool:
    return variable.startswith(LET_THROUGH)


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
        return _lines(done.stdout)

    def refusal(self, *arguments: str) -> str | None:
        """Why a git command that changes something fails, in Git's own words; None if it does not."""
        done = self._call(arguments, None)
        if done is None:
            return "Git is not installed"
        said = " / ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        return None if done.returncode == 0 else said[:500] or f"exit status {done.returncode}"

    def _call(self, arguments: tuple[str, ...], index: Path | None) -> subprocess.CompletedProcess[str] | None:
        # in English: what it refuses is recognised by its words
        environment = {**git_environment(), "GIT_OPTIONAL_LOCKS": "0", "LANGUAGE": "en"}
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        command = git_command(self.folder, *arguments)
        options: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "check": False, "env": environment}
        try:
            return subprocess.run(command, capture_output=True, **options)
        except FileNotFoundError:
            return None

    def lines(self, *arguments: str) -> list[str]:
        """The lines of a git command's output; none if it fails."""
        return _lines(self.run(*arguments) or "")

    def head(self) -> str | None:
        """The commit checked out; None before the first one."""
        return self.run("rev-parse", "--verify", "--quiet", "HEAD")

    def worktrees(self) -> list[Path]:
        """The folders of all worktrees of the repository, the main one first."""
        lines = self.lines("worktree", "list", "--porcelain")
        return [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]

    def how_to_bring(self, path: str) -> str | None:
        """The command that brings a file of the last commit that is not here; None if it is, or the commit has none."""
        if (self.folder / path).exists() or self.run("cat-file", "-e", f"HEAD:./{path}") is None:
            return None
        is_left_out = self.lines("ls-files", "-t", "--", path) == [f"S {path}"]  # of a sparse checkout
        return "git sparse-checkout disable" if is_left_out else f"git checkout HEAD -- {path}"

    def branch(self) -> str | None:
        """The branch checked out; None if HEAD is detached."""
        return self.run("symbolic-ref", "--short", "--quiet", "HEAD")

    def identity(self) -> str | None:
        """Who commits here, as Git is configured: `Name <address>`; None where it is not."""
        said = self.run("var", "GIT_COMMITTER_IDENT")
        return said.rpartition(" ")[0].rpartition(" ")[0] if said else None  # less the time and its zone

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
        temporary experiment was checked out within the same second. Files that could take part in a run are compared
        byte by byte as well: a filter or an attribute may show Git something else than what lies on disk.
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
            command = ("diff", "--cached", "--name-only", "-z", "--no-ext-diff", "--relative", "HEAD")
            changed = self.run(*command, index=index)
        if changed is None:
            return None
        return sorted({*filter(None, changed.split("\0")), *self._altered_code()})

    def _altered_code(self) -> list[str]:
        """Tracked files that could take part in a run and hold other bytes than those that HEAD has."""
        listing = "\n".join(self.must("ls-tree", "-r", "-z", "HEAD"))
        entries = [entry.partition("\t") for entry in listing.split("\0") if entry]
        blobs = {path: meta.split()[2] for meta, _, path in entries if meta.startswith("100")}
        wanted = {path: blob for path, blob in blobs.items() if takes_part(path) and path not in WRITTEN_BY_RUNS}
        return [path for path, blob in wanted.items() if not _is_blob(self.folder / path, blob)]

    def untracked_files(self, paths: tuple[str, ...], *, ignored: bool = True) -> list[str]:
        """Files below `paths` that Git does not track, ignored ones too if `ignored`: dvc hashes them.

        What `dvc add` keeps counts as its .dvc file does: that is what Git has to track.
        """
        if not paths:
            return []
        paths = tuple(f"{path}.dvc" if (self.folder / f"{path}.dvc").is_file() else path for path in paths)
        options = () if ignored else ("--exclude-standard",)
        found = "\n".join(self.must("ls-files", "-z", "--others", *options, "--", *paths)).split("\0")
        found = [path for path in found if path and "__pycache__" not in path]
        return [path for path in found if not path.endswith((".pyc", ".partial"))]

    def boundary(self) -> frozenset[str]:
        """The commits of a shallow clone whose parents are not in it: they seem to bring all that they hold."""
        path = self.run("rev-parse", "--git-path", "shallow")
        file = self.folder / path if path else None
        return frozenset(file.read_text(encoding="ascii").split()) if file and file.is_file() else frozenset()


def object_name(kind: str, data: bytes, like: str) -> str:
    """The name that Git gives to an object, by the kind of hash that `like` is."""
    algorithm = hashlib.sha1 if len(like) == 40 else hashlib.sha256
    return algorithm(f"{kind} {len(data)}\0".encode() + data).hexdigest()


def _is_blob(path: Path, blob: str) -> bool:
    return path.is_file() and object_name("blob", path.read_bytes(), blob) == blob


def _lines(text: str) -> list[str]:
    # not splitlines: a name may hold characters that end a line for Python, and for Git do not
    return text.removesuffix("\n").split("\n") if text else []


def strip_user(url: str) -> str:
    """`url` without user name and password. Paths and `git@host:path` come back as they are, less the user's part."""
    parts = urlsplit(url)
    if parts.scheme and "@" in parts.netloc:
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return url
