"""Versions that were retired: with a reason, kept in Git, left out of the verdict of `lineage verify --all`.

A version whose commit went with its experiment can be proved by nobody, and would make every later answer FAIL. Whoever
retires it puts the name and the reason into the history. Audits go on counting it, and `lineage verify X` looks at it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ..base.errors import LineageError, ProjectError
from ..base.pages import write_whole
from ..git.history import History
from .case import ModelCase

FOLDER = "retired"


@dataclass(frozen=True)
class Retirement:
    """Which version was retired, why, by whom (as Git is configured) and when (UTC, ISO 8601)."""

    model: str  # models:/NAME/NUMBER
    identity: str  # so that another version of that name and number, in another store, is not meant
    reason: str
    by: str
    at: str


def retirement_of(case: ModelCase, *, unless_named: bool = False) -> Retirement | None:
    """The retirement of a version that HEAD holds; None without one. One that is not committed yet does not count.

    With `unless_named` none where an alias points to the version by now: what people load by an alias has to be proved.
    """
    try:
        found = retirement_at_head(case.history, case.title, case.identity)
    except LineageError:  # it says of no model that it is its version
        return None
    return found if found and not (unless_named and _aliases(case)) else None


def retirement_at_head(history: History, title: str, identity: str) -> Retirement | None:
    """The retirement of models:/NAME/NUMBER with this model that HEAD holds, whether MLflow has the version or not."""
    try:
        found = Retirement(**json.loads(history.at("HEAD").read(_path(title)) or b""))
    except (ValueError, TypeError, LineageError):  # none there, or none that can be read: then nothing is retired
        return None
    return found if (found.model, found.identity) == (title, identity) and found.reason else None


def _aliases(case: ModelCase) -> tuple[str, ...]:
    if case.version is None:
        return ()
    return tuple(case.evidence.store.aliases(case.version.name).get(str(case.version.version), ()))


def retire(case: ModelCase, reason: str) -> Path:
    """Writes the retirement of a version into the project, for a person to commit.

    Raises LineageError if it is no version of this pipeline, ProjectError if there is no reason, an alias points to
    it, or it was retired before.
    """
    if not reason.strip():
        raise ProjectError("a reason is needed: --reason 'its experiment was removed'.")
    if case.version is None:
        raise LineageError("only a version in MLflow can be retired: models:/NAME/NUMBER.")
    if (before := retirement_of(case)) is not None:
        raise ProjectError(f"{case.title} was retired before, {before.at} by {before.by}: {before.reason}")
    if aliases := _aliases(case):
        raise ProjectError(
            f"{case.title} is what the alias {aliases[0]} points to. Point that at another version, then retire this."
        )
    retirement = Retirement(
        model=case.title,
        identity=case.identity,
        reason=reason.strip(),
        by=case.history.git.identity() or "unknown",
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    target = case.evidence.root / _path(case.title)
    target.parent.mkdir(exist_ok=True)
    write_whole(target, json.dumps(asdict(retirement), indent=2, ensure_ascii=False) + "\n")
    return target


def _path(title: str) -> str:
    return f"{FOLDER}/{quote(title.removeprefix('models:/'), safe='').replace('%2F', '-')}.json"
