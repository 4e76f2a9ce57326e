"""A backend that the template does not ship is one class of the project's own and one file in conf/compute/."""

from __future__ import annotations

import pytest
from baked import Project


def of_manual(project: Project, language: str) -> str:
    """The first block in this language of the page on backends."""
    page = (project.root / "docs" / "backends.md").read_text()
    return page.partition(f"```{language}\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def away(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that trains in another folder."""
    folder = tmp_path_factory.mktemp("away")
    project = baseline.copy(folder)
    project.environment["PYTHONPATH"] = str(project.root)  # its own package, as in an environment of its own
    (project.root / "traceable_digits" / "folder.py").write_text(of_manual(project, "python"))
    conf = of_manual(project, "yaml").replace("/tmp/jobs", str(folder / "jobs"))
    (project.root / "conf" / "compute" / "folder.yaml").write_text(conf)
    project.compose(f"tracking.uri=sqlite:///{project.root}/mlflow.db", "compute=folder", "train=debug")
    return project


def test_a_stage_runs_there_and_its_model_is_proved(away: Project) -> None:
    away.dvc("repro")
    (job,) = (away.root.parent / "jobs").iterdir()
    assert away.out("train", "models/model.safetensors")
    run = away.store().runs("train")[-1]
    assert run.data.tags["folder_job"] == away.lineage["training_run"]["job"]["folder_job"] == job.name
    assert (job / "project" / "models" / "model.safetensors").exists()
    away.commit("Trained elsewhere")
    away.dvc("push", "--quiet")
    away.run("lineage", "link")
    version = away.store().versions()[-1]
    name = f"models:/{version.name}/{version.version}"
    assert f"{name}  PASS" in away.run("lineage", "verify", name)
    assert f"folder job {job.name}" in away.run("lineage", "trace", name)


def test_where_it_ran_reruns_nothing(away: Project) -> None:
    away.compose(f"tracking.uri=sqlite:///{away.root}/mlflow.db", "train=debug")
    assert "Running stage 'train'" not in away.dvc("repro")


def test_what_it_needs_is_checked_like_every_setting(away: Project) -> None:
    said = away.run("lineage", "compose", "compute=folder", "compute.folder.place=3", code=1)
    assert "compute.folder.place: input should be a valid string (is 3)" in said
    said = away.run("lineage", "compose", "compute=folder", "+compute.folder.plce=x", code=1)
    assert "compute.folder.plce is not a setting (did you mean compute.folder.place?)" in said
    said = away.run("lineage", "compose", "compute=folder", "compute.folder._target_=nowhere.Folder", code=1)
    assert "_target_ nowhere.Folder cannot be imported" in said


def test_a_process_that_fails_leaves_nothing_half_written(away: Project) -> None:
    before = (away.root / "models" / "model.safetensors").read_bytes()
    away.compose(f"tracking.uri=sqlite:///{away.root}/mlflow.db", "compute=folder", "train=debug", "train.seed=11")
    stage = away.root / "traceable_digits" / "stages" / "train.py"
    text = stage.read_text()
    stage.write_text(text.replace("    options = settings.train\n", "    raise SystemExit(3)\n", 1))
    output = away.dvc("repro", "--single-item", "train", code=255)
    stage.write_text(text)
    assert "ended with 1" in output
    assert (away.root / "models" / "model.safetensors").read_bytes() == before
    assert away.store().runs("train")[-1].info.status == "FAILED"
