"""lineage diff: which records are in one dataset version and not in the other, and why."""

from __future__ import annotations

import json
import shutil
from typing import Any

from baked import Project
from command import Lineage
from consent import FIRST, OUT, SECOND, Cycle


def data(lineage: Lineage, project: Project, *sides: str) -> dict[str, Any]:
    return dict(json.loads(lineage(project, "diff", *sides, "--json"))["sections"]["data"])


def test_a_withdrawn_consent_is_named_as_the_cause(cycle: Cycle, lineage: Lineage) -> None:
    found = data(lineage, cycle.project, FIRST, SECOND)
    assert found["unknown"] == []
    removed = found["kinds"].pop("removed")
    assert found["kinds"] == {}
    assert (removed["records"], removed["subjects"], removed["most"]) == (7, 1, {OUT: 7})
    assert removed["by"]["split"] == {"train": 7}
    assert sum(removed["by"]["label"].values()) == 7
    assert found["causes"]["removed"] == {"consent revoked in B": {"records": 7, "subjects": 1}}
    back = data(lineage, cycle.project, SECOND, FIRST)
    assert back["kinds"]["added"]["ids"] == removed["ids"]
    assert back["causes"]["added"] == {"consent revoked in A, active in B": {"records": 7, "subjects": 1}}


def test_an_erasure_is_named_and_what_it_took_is_not_compared(cycle: Cycle, project: Project, lineage: Lineage) -> None:
    lineage(project, "erase", OUT, "--execute", "--yes", "--reason", "request 17")
    document = json.loads(lineage(project, "diff", FIRST, SECOND, "--json"))
    found = document["sections"]["data"]
    (unknown,) = found["unknown"]
    assert "1 subject of its dataset version were erased since" in unknown
    assert found["state"] == "different"
    assert found["kinds"] == {}
    assert OUT not in json.dumps(document)
    assert document["sections"]["metrics"]["paired"]["records"] > 100  # they were in train: predictions are whole

    shutil.copytree(cycle.project.root / ".dvc" / "cache", project.root / ".dvc" / "cache", dirs_exist_ok=True)
    found = data(lineage, project, FIRST, SECOND)  # as in a clone that has not been told to forget them yet
    (cause,) = found["causes"]["removed"]
    assert cause.startswith("erased at ")
    assert "request 17" in cause
