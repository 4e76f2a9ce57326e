"""The cycle of consent, for all tests of records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from auditing import Answer, Ask
from baked import Project
from command import Lineage
from consent import (
    OUT,
    Cycle,
    run_cycle,
)


@pytest.fixture(scope="session")
def cycle(shared: Path, installed: Project, lineage: Lineage) -> Cycle:
    return run_cycle(shared, installed, lineage)


@pytest.fixture
def project(cycle: Cycle, tmp_path: Path) -> Project:
    """A copy of the project after the opt-out, to damage."""
    return cycle.project.copy(tmp_path)


@pytest.fixture
def excluded(lineage: Lineage, cycle: Cycle) -> Ask:
    """`lineage audit excluded`: OUT since the opt-out, if nothing else is asked."""

    def ask(project: Project, *ids: str, since: str = cycle.moment) -> Answer:
        status, output, errors = lineage.run(
            project, "audit", "excluded", "--since", since, "--json", "--", *(ids or (OUT,))
        )
        assert output, errors
        return Answer(status, json.loads(output))

    return ask
