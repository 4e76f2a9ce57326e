"""The aliases that are decided on: a version has one because a decision in Git gave it, and for no other reason."""

from __future__ import annotations

from ..case import ModelCase
from ..decision import Version
from ..decisions import Line, decision_tags, standing
from ..recompute import CheckResult


def aliases(case: ModelCase) -> CheckResult:
    """Each alias that is decided on, as far as it concerns this version: who has it, and who should by Git."""
    result = CheckResult()
    assert case.version is not None
    name, number, decisions = case.version.name, str(case.version.version), case.evidence.decisions
    pointers, tags = case.evidence.store.pointers(name)
    for alias in decisions.aliases(name):
        line, pointed = decisions.line(name, alias), pointers.get(alias)
        decided = line.now.number if line.now else None
        result.looked_at += 1
        where = ""
        if pointed != number and not line.of(number):
            continue
        result.faults += line.faults
        result.unknown += line.elsewhere
        if number in (pointed, decided):
            found = standing(line, pointed, tags)
            where = found.where
            if found.where in ("unfinished", "not here"):
                result.unknown.append(found.text)
            elif found.where != "as decided":
                result.faults.append(found.text)
            result.fix = f"`{found.fix}`" if found.fix else result.fix
        if number == decided and where != "unfinished":
            _compare(case, line, result)
    return result


def _compare(case: ModelCase, line: Line, result: CheckResult) -> None:
    """Whether the version is the very one that was decided on, and says so."""
    assert case.version is not None
    assert line.last is not None
    made, path = line.now, line.last.path
    assert isinstance(made, Version)
    result.equal("its model identity", case.identity, made.identity, path)
    result.equal("its weights", case.version.tags.get("model_sha256"), made.weights, path)
    result.equal("its dataset version", case.version.tags.get("dvc_data_md5"), made.dataset, path)
    for tag, value in decision_tags(line.alias, line.last).items():
        result.equal(f"its tag {tag}", case.version.tags.get(tag), value, path)
