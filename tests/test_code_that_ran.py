"""A model whose history says something else than the code that its run worked with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from baked import Project
from command import Lineage

RUNNER, REGISTRY = "lineage/pipeline/runner.py", "lineage/pipeline/registration.py"
PAGES, BESIDE = "lineage/base/pages.py", "sitecustomize.py"
EDITED = (RUNNER, REGISTRY, PAGES, BESIDE, "README.md")


def _publish(project: Project, lineage: Lineage, message: str) -> None:
    project.commit(message)
    project.git("push", "--quiet", "--force", "origin", "main")
    project.dvc("push", "--quiet")
    lineage(project, "link")


@pytest.fixture(scope="module")
def half(linked: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A third model on half of the data, made while framework files were edited. Nothing of it is committed yet.

    `pages.py` was edited while preprocess ran only, the others while the rest did.
    """
    project = linked.copy(tmp_path_factory.mktemp("half"))
    project.compose("train=debug", "data.fraction=0.5")

    def edit(name: str) -> None:
        with (project.root / name).open("a") as file:
            file.write("\n# edited\n")

    edit(PAGES)
    project.dvc("repro", "preprocess")
    project.git("checkout", "--quiet", "--", PAGES)
    for name in EDITED:
        if name != PAGES:
            edit(name)
    project.dvc("repro")
    yield project


def _as_it_ran(project: Project, *, without: str = "") -> None:
    """Leaves the files as they were while their stages ran; `without` is put back, as it is in the commit before."""
    with (project.root / PAGES).open("a") as file:
        file.write("\n# edited\n")
    if without:
        project.git("checkout", "--quiet", "--", without)


def test_code_that_was_changed_and_put_back(half: Project, lineage: Lineage, tmp_path: Path) -> None:
    project = half.copy(tmp_path)
    project.git("checkout", "--quiet", "--", RUNNER, REGISTRY, "README.md")
    (project.root / BESIDE).unlink()
    _publish(project, lineage, "Third model")
    proof = lineage.verify(project, "models:/traceable-digits/3")
    assert (proof.status, proof.state) == (1, "FAIL")
    assert set(proof.not_passed) == {"code", "other runs"}
    for name in (RUNNER, REGISTRY, BESIDE):
        assert f"{name} in the commit is" in proof.not_passed["code"]
    assert f"{PAGES} had other content when run" in proof.not_passed["other runs"]
    assert "README.md in the commit" not in proof.output
    assert RUNNER in lineage(project, "trace", "models:/traceable-digits/3")
    without_mlflow = lineage.verify(project, "lineage.json")
    assert without_mlflow.state == "FAIL"
    assert RUNNER in without_mlflow.not_passed["code"]


def test_code_that_was_committed_as_it_ran(half: Project, lineage: Lineage, tmp_path: Path) -> None:
    project = half.copy(tmp_path)
    _as_it_ran(project, without="README.md")
    _publish(project, lineage, "Third model")
    proof = lineage.verify(project, "models:/traceable-digits/3")
    assert (proof.status, proof.not_passed) == (0, {})
    # what came of it stays proved when the framework goes on
    with (project.root / RUNNER).open("a") as file:
        file.write("\n# edited later\n")
    _publish(project, lineage, "The framework goes on")
    assert lineage.verify(project, "--all").status == 0
