"""The gate consent: a version with records of somebody who has opted out since gets no alias."""

from __future__ import annotations

import json

from baked import Project
from command import Lineage
from consent import FIRST, OUT, SECOND, everybody, write_registry


def test_who_may_be_used_today_counts(project: Project, lineage: Lineage) -> None:
    status, output, _ = lineage.run(project, "promote", FIRST, "--to", "champion", "--accept", "all: x", "--json")
    gates = json.loads(output)["gates"]
    assert (status, gates["consent"]["state"]) == (1, "FAIL")
    assert gates["consent"]["text"] == "1 subject with 7 records in its data has no active consent today"
    assert OUT not in output
    status, output, _ = lineage.run(project, "promote", SECOND, "--to", "champion", "--json")
    gates = json.loads(output)["gates"]
    assert (status, gates["consent"]["state"]) == (0, "PASS"), output
    assert gates["consent"]["text"] == "all subjects of its data (1 dataset versions) have active consent today"

    write_registry(project, {})  # nobody knows
    said = lineage(project, "demote", "champion", "--reason", "x", code=1)
    assert "no other version was champion before" in said
    write_registry(project, everybody())
    assert "would be champion" in lineage(
        project, "promote", FIRST, "--to", "champion", "--dry-run", "--accept", "all: x"
    )
