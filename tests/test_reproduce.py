"""reproduce: the same bytes again, or what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from baked import Project
from command import Lineage

pytestmark = pytest.mark.usefixtures("new_processes")

CANDIDATE = "models:/traceable-digits@candidate"


@pytest.mark.slow
def test_reproduce_says_bit_identical(default: Project, lineage: Lineage, tmp_path: Path) -> None:
    """With torch."""
    project = default.copy(tmp_path)
    lineage(project, "link")
    assert "bit-identical, 13 of 13 outputs" in lineage(project, "reproduce", CANDIDATE)


@pytest.mark.slow
def test_verify_makes_the_model_once_more_if_asked(project: Project, lineage: Lineage) -> None:
    proof = lineage.verify(project, CANDIDATE, "--reproduce", "--here")
    assert proof.not_passed == {}
    assert proof.link("made once more")["looked_at"] == 13


def test_reproduce_says_what_differs(project: Project, lineage: Lineage) -> None:
    """Another seed, by an edit of the very commit that is reproduced."""
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("seed: 5", "seed: 7"))
    project.git("commit", "--quiet", "--all", "--amend", "--message", "Second model")
    project.git("push", "--quiet", "--force", "origin", "main")
    lineage(project, "link")
    status, output, _ = lineage.run(project, "reproduce", CANDIDATE, "--here", "--json")
    document = json.loads(output)
    assert status == 1
    assert not document["identical"]
    assert "models/model.safetensors" in document["hashes"]
    assert "data/processed" not in document["hashes"]
    assert max(document["weights"].values()) > 0
    assert "test.loss" in document["metrics"]
