"""What changed since the version before: counts of the data, parameters, scores. In short; `lineage diff` tells all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import ProjectError
from ..chain.composition import CONF
from ..chain.document import model_parameters
from ..contract import Role
from ..dvc.dvcfile import PARAMS_FILE
from ..dvc.recorded import READ, Recorded
from ..settings import flatten
from .case import Evidence, ModelCase
from .counted import count_raw
from .dataset import describe

SAME = {
    "raw data": Role.RAW,
    "consent snapshot": Role.CONSENT,
    "dataset version": Role.DATASET,
    "weights to start from": Role.PRETRAINED,
    "weights": Role.MODEL,
}


@dataclass(frozen=True)
class Change:
    """What one version has otherwise than the one before; None: it has no such thing."""

    what: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Before:
    """The version before, and what changed since. Where it cannot be compared, `unknown` says why."""

    title: str | None
    unknown: str = ""
    same: tuple[str, ...] = ()
    changes: Mapping[str, tuple[Change, ...]] | None = None  # by section; what did not change is not in it
    files: tuple[str, ...] = ()  # inputs of the stages, beside data, that are others


def compare(case: ModelCase, chain: dict[str, Any], recorded: Recorded | None) -> Before:
    """Compares a model with the version of the next lower number under its name."""
    if case.version is None:
        return Before(None, "MLflow has no version of this model, so none is before it.")
    name, number = case.version.name, int(case.version.version)
    try:
        others = [each for each in case.evidence.store.versions if each.name == name and int(each.version) < number]
    except ProjectError as error:
        return Before(None, str(error))
    if not others:
        return Before(None)
    former = ModelCase(case.evidence, max(others, key=lambda each: int(each.version)))
    try:
        then = former.recorded
    except ProjectError as error:
        return Before(former.title, str(error))
    if recorded is None:
        return Before(former.title, "no commit holds this model")
    same = [what for what, role in SAME.items() if then.md5(role) == recorded.md5(role) is not None]
    changes = {
        "data": _changed(_data_of(case.evidence, then), _data_of(case.evidence, recorded)),
        "parameters": _changed(flatten(model_parameters(then)), flatten(model_parameters(recorded))),
        "scores": _changed(_scores_of(former), scores_in(chain["metrics"])),
    }
    return Before(
        former.title,
        same=tuple(same),
        changes={section: found for section, found in changes.items() if found},
        files=_other_files(then, recorded),
    )


def _data_of(evidence: Evidence, recorded: Recorded) -> dict[str, Any]:
    """What is counted of the data that a model was trained on, with their hashes."""
    found: dict[str, Any] = {f"{what}, DVC hash": recorded.md5(role) for what, role in list(SAME.items())[:3]}
    raw = count_raw(evidence.objects, recorded.md5(Role.RAW), recorded.md5(Role.CONSENT))
    found["raw records"] = "unknown" if raw.records is None else raw.records
    try:
        described = describe(evidence.objects, recorded.md5(Role.DATASET) or "")
    except (ProjectError, LookupError, ValueError):
        return {**found, "dataset records and subjects": "unknown"}
    counted = {what: described.get(what) for what in ("records", "subjects")}
    found |= {f"{what} in {split}": count for what in counted for split, count in (counted[what] or {}).items()}
    return {**found, "classes": ", ".join(map(str, described.get("classes") or []))}


def _scores_of(case: ModelCase) -> dict[str, Any]:
    try:
        return scores_in(case.document.get("metrics"))
    except ProjectError:
        return {}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> tuple[Change, ...]:
    keys = dict.fromkeys([*after, *before])
    pairs = ((key, before.get(key), after.get(key)) for key in keys)
    return tuple(Change(*pair) for pair in pairs if pair[1] != pair[2])


def _other_files(then: Recorded, now: Recorded) -> tuple[str, ...]:
    """The code and locks that the training and the stages upstream read, where their hash is another."""
    before, after = _inputs(then), _inputs(now)
    return tuple(path for path in dict.fromkeys([*after, *before]) if before.get(path) != after.get(path))


def _inputs(recorded: Recorded) -> dict[str, str]:
    of_data = {recorded.pipeline.path(role) for role in READ}
    entries = (recorded.lock.get(stage.name) or {} for stage in recorded.pipeline.of_model())
    found = {dep["path"]: str(dep.get("md5")) for entry in entries for dep in entry.get("deps") or []}
    return {path: md5 for path, md5 in found.items() if path not in {*of_data, CONF, PARAMS_FILE}}


def counts_in(stated: object) -> dict[str, int] | None:
    """Counts by split, of a file that others wrote; None if it states none."""
    counts = stated if isinstance(stated, dict) else {}
    known = counts and all(isinstance(each, int) and each >= 0 for each in counts.values())
    return {str(split): int(count) for split, count in counts.items()} if known else None


def scores_in(stated: object) -> dict[str, Any]:
    """Scores by dotted name, of a file that others wrote; empty if it states none."""
    return flatten(stated) if isinstance(stated, dict) else {}
