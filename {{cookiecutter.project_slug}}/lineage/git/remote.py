"""What the Git remote has: its branches, tags and experiments, and through them commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from .repository import Repository


class GitRemote:
    """The remote that the project is pushed to. What it has is asked once, when the first question about it comes.

    Raises LineageError where the remote does not answer, or there is none; its name is known without asking.
    """

    def __init__(self, git: Repository, resolve: Callable[[str], str | None]) -> None:
        """`resolve` finds commits that are here."""
        self._git = git
        self._resolve = resolve

    @cached_property
    def name(self) -> str | None:
        """What it is called here; None if there is no remote."""
        remotes = self._git.lines("remote")
        return "origin" if "origin" in remotes else remotes[0] if remotes else None

    @cached_property
    def _tips(self) -> dict[str, str]:
        """The commits that branches, tags and experiments point at now, by ref."""
        kinds = ("refs/heads/*", "refs/tags/*", "refs/exps/*")
        lines = self._git.must("ls-remote", "--quiet", str(self.name), *kinds)
        return {ref: commit for commit, _, ref in (line.partition("\t") for line in lines)}

    def has_tag(self, tag: str) -> bool:
        """Whether it has a tag of this name."""
        return f"refs/tags/{tag}" in self._tips

    def commit_of_tag(self, tag: str) -> str | None:
        """The commit that a tag names there; None if it has no such tag."""
        return self._tips.get(f"refs/tags/{tag}^{{}}") or self._tips.get(f"refs/tags/{tag}")

    def has_commit(self, commit: str) -> bool | None:
        """Whether its refs lead to the commit; None where only commits not fetched yet could."""
        return True if commit in self._commits else False if self.is_fetched else None

    @cached_property
    def _commits(self) -> frozenset[str]:
        """The commits that are there and here."""
        here = [tip for tip in sorted({*self._tips.values()}) if self._resolve(tip)]
        return frozenset(self._git.must("rev-list", *here)) if here else frozenset()

    @cached_property
    def not_fetched(self) -> list[str]:
        """The branches, tags and experiments whose commits are not here."""
        return sorted(ref for ref, tip in self._tips.items() if not self._resolve(tip))

    def fetch(self, refs: Iterable[str]) -> str:
        """The command that brings these refs, of `not_fetched`, and what else is there."""
        more = " '+refs/exps/*:refs/exps/*'" if any(ref.startswith("refs/exps/") for ref in refs) else ""
        return f"git fetch {self.name} '+refs/heads/*:refs/remotes/{self.name}/*' --tags{more}"

    @cached_property
    def is_fetched(self) -> bool:
        """Whether the commits of every branch and tag are here. Experiments are fetched by name only."""
        tips = (commit for ref, commit in self._tips.items() if not ref.startswith("refs/exps/"))
        return all(self._resolve(tip) for tip in tips)
