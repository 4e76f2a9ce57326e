"""When commits were made, as their committers say: seconds since 1970, in UTC."""

from __future__ import annotations

from .repository import Repository

NEVER = 253_370_764_800  # the year 9999: later than any clock, and a time still


def moment_of_commit(text: str) -> int:
    """A commit's time as Git prints it. What is no time is later than any: it dates nothing."""
    try:
        moment = int(text)
    except ValueError:
        return NEVER
    return min(moment, NEVER) if moment > 0 else NEVER  # Git prints 0 for what it cannot read


def times_of_commits(git: Repository) -> dict[str, int]:
    """When each commit here was made, those of the reflog too where it is at hand."""
    command = ("rev-list", "--timestamp", "--all", "HEAD", "--")
    lines = git.run("rev-list", "--timestamp", "--all", "--reflog", "HEAD", "--") or git.run(*command)
    pairs = (line.rpartition(" ") for line in (lines or "").splitlines())
    return {commit: moment_of_commit(moment) for moment, _, commit in pairs}
