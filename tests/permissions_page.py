"""docs/aws-permissions.md of a project, read: calls to AWS, and what shows each statement of a role to be needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("docs") / "aws-permissions.md"


@dataclass(frozen=True)
class Call:
    """A row of the table of calls."""

    name: str  # as `s3 GetObject`
    permission: str
    roles: tuple[str, ...]


def rows(root: Path, title: str) -> Iterator[list[str]]:
    """The cells of the tables below a title, without heads."""
    text = (root / PAGE).read_text(encoding="utf-8")
    section = re.split(r"(?m)^## ", text)
    (found,) = [part for part in section if part.startswith(f"{title}\n")]
    for line in found.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and not set(cells[0]) <= set("- :") and cells[0] not in ("call", "role"):
            yield cells


def calls(root: Path) -> list[Call]:
    """Every call that the page lists, once for each permission that it needs."""
    found = []
    for cells in rows(root, "Calls"):
        name, permissions, roles = cells[0].strip("`"), re.findall(r"`([^`]+)`", cells[1]), cells[2].split(", ")
        found += [Call(name, permission, tuple(roles)) for permission in permissions or [""]]
    return found


def shown(root: Path) -> dict[tuple[str, str], str]:
    """By role and Sid: `here` if the tests show that it is needed, else why only AWS does."""
    return {(cells[0], cells[1].strip("`")): cells[3] for cells in rows(root, "Statements")}


# the statements that the tests of pipelines and of serving show to be needed, by role; the others run neither
BY_PIPELINES = {
    "launcher": {"MakePipeline", "UsePipeline", "UseExecutions"},
    "pipeline": {
        *("RunSteps", "FollowSteps", "StopSteps", "TagSteps", "GiveRoleToSteps"),
        *("ReadScores", "UseDataKey", "NoteLineage"),
    },
    "events": {"StartPipeline"},
}
BY_SERVING = {
    "launcher": {"Deploy", "UseEndpoints", "LookAtEndpoints"},
    "endpoint": {
        *("ListJobs", "ReadModel", "ReadInputs", "KeepWhatWasAsked", "UseDataKey", "WriteLogs", "WatchAlarms"),
        *("AskForImages", "PullOwnImage"),
    },
}


def shown_here(root: Path, role: str) -> set[str]:
    """The Sids of a role that the page says are shown to be needed, less those that other tests show."""
    here = {sid for (name, sid), text in shown(root).items() if name == role and text == "here"}
    return here - BY_PIPELINES.get(role, set()) - BY_SERVING.get(role, set())
