"""A stranger points a fresh project at a folder of photographs, and gets a model that can be proved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from baked import Project, bake, remove_hooks
from command import Lineage
from photographs import photographs, put

MODEL = "models:/traceable-digits@candidate"
ONE = "cat/IMG 003.JPG"


@pytest.fixture(scope="module")
def project(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose model was trained on photographs that `dvc import-url` brought, committed and pushed."""
    folder = tmp_path_factory.mktemp("stranger")
    photos = put(folder / "photos", {**photographs(), "README.txt": b"no image"})
    project = Project(bake(folder), installed.venv, installed.environment)
    remove_hooks(project.root)
    project.dvc("import-url", "--quiet", str(photos), "data/source")
    lineage(project, "compose", "data=dvc_folder", "train=debug")
    project.dvc("repro")
    project.commit("Our photographs")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    return project


def test_the_model_is_proved_down_to_the_photographs(project: Project, lineage: Lineage) -> None:
    proof = lineage.verify(project, MODEL)
    assert proof.not_passed == {}
    assert proof.state == "PASS"
    entry = project.lock["fetch"]
    assert "data/source" in [dep["path"] for dep in entry["deps"]]
    run = project.store().runs("train")[-1]
    assert run.data.tags["git_dirty"] == "true"  # params.yaml, and the photographs' .dvc file, were new
    assert "data/source/" not in run.data.tags["git_dirty_files"]


def test_nothing_is_wrong_with_the_checkout(project: Project, lineage: Lineage) -> None:
    findings = json.loads(lineage.run(project, "doctor", "--json")[1])
    told = {finding["check"]: finding for finding in findings}
    assert told["code"]["state"] == "right", told["code"]
    assert told["objects"]["state"] == "right", told["objects"]


def test_a_record_with_a_slash_is_found_and_certified(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    assert ONE in lineage(project, "audit", "subject", ONE, code=None)
    status, said = lineage.ask(
        project, "audit", "excluded", ONE, "--since", "2020-01-01", "--certificate", str(tmp_path / "proof")
    )
    assert status == 1, said
    certificate = json.loads((tmp_path / "proof.json").read_text())
    assert ONE in json.dumps(certificate)
    assert (tmp_path / "proof.html").exists()


def test_in_a_fresh_clone_all_of_it_comes_back(project: Project, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    assert (clone.root / "data" / "source" / ONE).read_bytes() == photographs()[ONE]
    assert "Running stage" not in clone.dvc("repro", "evaluate")


def test_a_change_of_what_dvc_versions_is_seen(project: Project, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    (clone.root / "data" / "source" / ONE).unlink()
    clone.dvc("commit", "--force", "--quiet", "data/source.dvc", code=None)
    output = clone.dvc("repro", "fetch")
    assert "Running stage 'fetch'" in output
    assert f"{len(photographs()) - 1} records" in output
