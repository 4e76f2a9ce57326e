"""What may go, what stays and why, and what would stop being provable. Nothing is changed but a note of the plan.

What goes is needed by nothing at two moments: when it was planned, and when it is deleted.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base.errors import LineageError, ProjectError
from ..base.pages import write_whole
from ..base.project import path_at
from ..proof.case import Evidence
from .certificates import require
from .git_names import GitNames
from .needed import Needed
from .registered import without_version
from .stored import Inventory, Stored, in_cache, in_remote

DAY = 86_400  # seconds
NOTE = Path(".dvc", "tmp", "gc.json")


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    days: float = 30.0  # objects that were put there since then stay, and what commits since then name
    cloud: bool = False  # also in the remote
    past: bool = False  # also what only the history names
    alone: bool = False  # no other project keeps objects in the same places
    accept_lost: bool = False  # what is nowhere to be found counts as gone
    projects: tuple[str, ...] = ()  # folders of other projects that do
    certificates: tuple[str, ...] = ()  # files outside of Git, whose dataset versions stay


@dataclass(frozen=True)
class Going:
    """One object in one place that may go."""

    md5: str
    place: str
    path: str
    size: int
    named: str  # where the history names it; empty where nothing does


@dataclass
class Plan:
    """What was found. `unknown` says why nothing may go now."""

    wanted: Wanted
    moment: str
    going: list[Going] = field(default_factory=list)
    stays: dict[str, dict[str, int]] = field(default_factory=dict)  # by place: how many objects stay, by why
    past: list[Going] = field(default_factory=list)  # what would go as well if the history were given up
    ends: list[str] = field(default_factory=list)  # models that could not be proved any more
    would_end: list[str] = field(default_factory=list)  # those that could not if the history were given up
    unknown: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether it is known what is needed."""
        return not self.unknown and (self.wanted.accept_lost or not self.lost)


def make(evidence: Evidence, wanted: Wanted) -> Plan:
    """Looks for what may go. Raises a ProjectError if what is needed, or what there is, cannot be looked at."""
    _require_own_places(evidence, wanted)
    others = [GitNames(path_at(folder, Path.cwd())) for folder in wanted.projects]
    now = time.time()
    # what there is, before what is needed: what is put there and named meanwhile is not looked at
    there = [in_cache(evidence.places), *([in_remote(evidence.places)] if wanted.cloud else [])]
    needed = Needed(evidence, others, now - wanted.days * DAY, require(wanted.certificates))
    plan = Plan(wanted, datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"))
    plan.places = [inventory.url for inventory in there]
    plan.unknown, plan.lost = list(dict.fromkeys(needed.unknown)), list(dict.fromkeys(needed.lost))
    for inventory in there:
        _part(plan, inventory, needed, now)
    if plan.past:
        models = needed.ends({each.md5 for each in plan.past})
        plan.would_end = [model.title for model in models]
        plan.lost += without_version(evidence, models) if wanted.past else []
    if wanted.past:
        plan.going, plan.past, plan.ends, plan.would_end = [*plan.going, *plan.past], [], plan.would_end, []
    if not plan.is_known:
        plan.going, plan.past, plan.ends, plan.would_end = [], [], [], []
    return plan


def _part(plan: Plan, inventory: Inventory, needed: Needed, now: float) -> None:
    """Tells what may go from what stays, in one place."""
    stays = Counter[str]({"no objects of DVC": inventory.strangers} if inventory.strangers else {})
    for each in inventory.objects:
        reason = needed.why(each.md5)
        if reason is not None and not reason.is_past:
            stays["needed"] += 1
        elif _is_young(each, now, plan.wanted.days):
            stays["too new"] += 1
        else:
            going = Going(each.md5, each.place, each.path, each.size, reason.text if reason else "")
            (plan.past if reason else plan.going).append(going)
    plan.stays[inventory.place] = dict(stays)


def _is_young(each: Stored, now: float, days: float) -> bool:
    """Whether it may be of something that goes on elsewhere. What nobody dates may be."""
    return days > 0 and (each.since is None or now - each.since < days * DAY)


def _require_own_places(evidence: Evidence, wanted: Wanted) -> None:
    """Raises ProjectError where objects of others may lie, and nobody has said that there are none, or whose."""
    if wanted.days < 0:
        raise ProjectError("--older-than takes a number of days, 0 or more.")
    if wanted.alone or wanted.projects:
        return
    own = (evidence.main / ".dvc", evidence.root / ".dvc")
    cache = evidence.places.cache_root
    said = "with --alone you say that no other project keeps objects there; --project FOLDER names one that does"
    if not any(cache.resolve().is_relative_to(folder.resolve()) for folder in own):
        raise ProjectError(
            f"the cache {cache} lies outside of this project, and nothing tells whose objects are: {said}."
        )
    if wanted.cloud:
        raise ProjectError(f"nothing tells whose the objects in {evidence.places.remote_url} are: {said}.")


def note(evidence: Evidence, plan: Plan) -> Path:
    """Writes down what was planned, for `execute`. It holds hashes and paths, and names nobody."""
    path = evidence.main / NOTE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(plan)) + "\n")
    return path


def noted(evidence: Evidence) -> Plan:
    """What was planned last. Raises ProjectError if nothing was, or the note is damaged."""
    path = evidence.main / NOTE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        wanted = document.pop("wanted")
        wanted |= {name: tuple(wanted[name]) for name in ("projects", "certificates")}
        for name in ("going", "past"):
            document[name] = [Going(**item) for item in document[name]]
        return Plan(wanted=Wanted(**wanted), **document)
    except FileNotFoundError:
        raise ProjectError("nothing was planned: `lineage gc --plan` says what would go.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise LineageError(f"{path} is damaged. `lineage gc --plan` writes it again.") from None


def size_of(going: Iterable[Going]) -> int:
    """Bytes that are freed."""
    return sum(each.size for each in going)
