"""What dvc.lock of a commit says of its code, its commands and its parameters, recomputed from the commit's tree."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from ..dvc.dvcfile import PARAMS_FILE, Stage, locked_hash
from ..dvc.recorded import Recorded
from ..git.tree import Tree
from ..settings import flatten, select


@dataclass
class CheckResult:
    """How many things were looked at, and a sentence for each that is not as it should be."""

    looked_at: int = 0
    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # what is unknown
    erased: list[str] = field(default_factory=list)  # what could not be looked at because it was erased on purpose
    note: str = ""  # how far a PASS goes
    meaning: str = ""  # what was looked at and holds, where that is less than the link promises
    summary: str = ""  # in place of the first faults, where these have one cause
    fix: str = ""  # what to do now about the faults

    def equal(self, what: str, here: object, there: object, where: str = "dvc.lock") -> None:
        """Counts one comparison; `there` is what `where` says."""
        self.looked_at += 1
        if here != there:
            self.faults.append(f"{what} is {_shown(here)}, {where} says {_shown(there)}")

    def fault(self, text: str) -> None:
        """Counts one thing that is not as it should be."""
        self.looked_at += 1
        self.faults.append(text)


def stages_of_model(recorded: Recorded) -> list[Stage]:
    """The stages whose entries in dvc.lock make up a model: the training, all upstream, and what ran on the model."""
    pipeline, training = recorded.pipeline, recorded.training
    if training is None:
        return []
    after = [stage for stage in pipeline.stages.values() if training in pipeline.upstream(stage)]
    return [*reversed(pipeline.upstream(training)), training, *(each for each in after if each.name in recorded.lock)]


def recompute_code(tree: Tree, *, only: Container[str] | None = None) -> CheckResult:
    """Commands, declarations and every dependency that Git tracks, against dvc.lock of the same commit.

    `only` names the stages to look at, where not all.
    """
    result = CheckResult()
    recorded, by_hand = tree.recorded, tree.added
    lock, pipeline = recorded.lock, recorded.pipeline
    for stage in stages_of_model(recorded):
        if only is not None and stage.name not in only:
            continue
        entry = lock.get(stage.name) or {}
        result.equal(f"the command of stage {stage.name} in dvc.yaml", stage.cmd, str(entry.get("cmd")))
        for kind, declared in (("deps", stage.deps), ("outs", stage.outs)):
            locked = sorted(item["path"] for item in entry.get(kind) or [])
            result.equal(f"the {kind} of stage {stage.name} in dvc.yaml", sorted(declared), locked)
        for dep in stage.deps:
            stated = locked_hash(entry, "deps", dep)
            producer = pipeline.producer(dep)
            if producer is not None:
                made = locked_hash(lock.get(producer.name), "outs", dep)
                result.equal(f"{dep} as stage {producer.name} made it", made, stated, f"the entry of {stage.name}")
            else:
                found = tree.md5(dep) or by_hand.get(dep)
                result.equal(f"{dep} in the commit", found, stated)
    result.faults = list(dict.fromkeys(result.faults))  # stages that share a file share the fault
    if not result.looked_at and only is None:
        result.faults.append("dvc.yaml in the commit gives no stage the role model")
    return result


def recompute_params(tree: Tree, *, only: Container[str] | None = None) -> CheckResult:
    """Every parameter that dvc.lock records, against the file of parameters of the same commit.

    `only` names the stages to look at, where not all.
    """
    result = CheckResult()
    recorded = tree.recorded
    for stage in stages_of_model(recorded):
        if only is not None and stage.name not in only:
            continue
        files: dict[str, dict[str, Any]] = (recorded.lock.get(stage.name) or {}).get("params") or {}
        stated = sorted(files.get(PARAMS_FILE) or {})
        result.equal(f"the params of stage {stage.name} in dvc.yaml", sorted(stage.params), stated)
        for path, values in files.items():
            for key, value in values.items():
                _compare_values(result, key, path, _value(tree.params(path), key), value)
    return result


def _compare_values(result: CheckResult, key: str, path: str, here: Any, there: Any) -> None:
    """Counts one comparison. Where groups of settings differ, the settings are named and not the groups."""
    result.looked_at += 1
    before, after = flatten({key: here}), flatten({key: there})
    for name in dict.fromkeys([*before, *after] if here != there else []):
        found, recorded = (values.get(name, "absent") for values in (before, after))
        if found != recorded:
            result.faults.append(f"{name} in {path} is {_shown(found)}, dvc.lock says {_shown(recorded)}")


def _value(document: dict[str, Any], key: str) -> Any:
    try:
        return select(document, key)
    except (KeyError, TypeError):
        return "absent"


def _shown(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
