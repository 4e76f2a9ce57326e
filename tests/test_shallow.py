"""A shallow clone does not take its oldest commit for the one that brought the data, and says what it cannot know."""

from __future__ import annotations

import json
from pathlib import Path

from baked import Project
from command import Lineage

DATA, RESULT = "data_git_commit_id", "result_git_commit_id"


def test_what_a_shallow_clone_cannot_know_is_left_out(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    first, second = project.commit_of("First model"), project.commit_of("Second model")
    origin = project.git("remote", "get-url", "origin")
    project.run("git", "clone", "--quiet", "--depth", "1", f"file://{origin}", str(tmp_path / "shallow"))
    shallow = Project(tmp_path / "shallow", project.venv, project.environment)
    (shallow.root / ".dvc" / "config.local").write_text((project.root / ".dvc" / "config.local").read_text())
    shallow.dvc("pull", "--quiet")
    store = f"tracking.uri=sqlite:///{project.root}/mlflow.db"
    shallow.compose("train=debug", "train.seed=5", "train.weight_decay=1e-5", store)
    shallow.dvc("repro", "--force", "--single-item", "evaluate")
    run = project.store().runs("evaluate")[-1]
    assert DATA not in run.data.params | run.data.tags
    lineage(shallow, "link")
    run = project.store().runs("evaluate")[-1]
    assert DATA not in run.data.params | run.data.tags
    assert (project.version_tags("2")[DATA], project.version_tags("2")[RESULT]) == (first, second)  # known before

    project.sql("DELETE FROM model_version_tags WHERE key IN (?, ?)", DATA, RESULT)
    lineage(shallow, "link")
    assert not {DATA, RESULT} & project.version_tags("2").keys()
    (model,) = json.loads(lineage(shallow, "trace", "--json", "models:/traceable-digits/2"))["models"]
    assert model["data_commit"] is None
    found = json.loads(lineage.run(shallow, "doctor", "--json")[1])
    assert next(item for item in found if item["check"] == "last result")["state"] == "right"

    # what was written wrong once is put right where more is known
    for number in "12":
        project.store().client.set_model_version_tag("traceable-digits", number, DATA, second)
    lineage(shallow, "link")
    assert project.version_tags("2")[DATA] == second  # not from here
    shallow.git("fetch", "--quiet", "--unshallow")
    lineage(shallow, "link")
    assert {project.version_tags(number)[DATA] for number in "12"} == {first}
    assert project.version_tags("2")[RESULT] == second
    run = project.store().runs("evaluate")[-1]
    assert run.data.tags[DATA] == run.data.params[DATA] == first
