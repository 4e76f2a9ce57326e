"""Every way in which DVC can run the pipeline. In each, what is made lands in the project's own store."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import pytest
from baked import Project, bake, use_perceptron


def experiment_runs(project: Project, name: str) -> list[Any]:
    return [run for run in project.store().runs("train") if run.data.tags.get("dvc_exp_name") == name]


def wait_until(condition: Callable[[], bool], project: Project) -> None:
    deadline = time.monotonic() + 400
    while not condition():
        assert time.monotonic() < deadline, project.dvc("queue", "status")


def assert_all_in_own_store(project: Project, runs: list[Any]) -> None:
    store = project.store()
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.info.artifact_uri.startswith((project.root / "mlartifacts").as_uri())
        assert "manifest.parquet" in store.artifacts(run)
    for version in store.versions():
        location = store.client.get_logged_model(version.source.removeprefix("models:/")).artifact_location
        folder = Path(url2pathname(location.removeprefix("file://")))
        assert folder.is_relative_to(project.root / "mlartifacts")
        assert (folder / "MLmodel").exists()
    strays = [path for path in project.root.rglob("mlflow.db") if path.parent != project.root]
    assert strays == []


@pytest.fixture(scope="module")
def fraction(sandbox: Project) -> Project:
    """The sandbox after `dvc exp run -S data.fraction=0.3`."""
    sandbox.dvc("exp", "run", "--name", "third", "-S", "data.fraction=0.3", "-S", "train=debug")
    return sandbox


def test_an_override_reaches_the_data_the_run_and_the_version(fraction: Project, baseline: Project) -> None:
    assert fraction.params["data"]["fraction"] == 0.3
    assert fraction.params["train"]["epochs"] == 1
    (run,) = experiment_runs(fraction, "third")
    assert run.data.params["data.fraction"] == "0.3"
    assert run.data.tags["dvc_exp_baseline_rev"] == baseline.git("rev-parse", "HEAD")
    assert run.data.tags["dvc_data_md5"] == fraction.out("preprocess", "data/processed")
    assert run.data.tags["dvc_data_md5"] != baseline.out("preprocess", "data/processed")
    assert_all_in_own_store(fraction, [run])


def test_overrides_survive_a_following_repro(fraction: Project) -> None:
    assert "Running stage" not in fraction.dvc("repro")
    assert fraction.params["data"]["fraction"] == 0.3


def test_an_experiment_registers_without_moving_the_alias(fraction: Project) -> None:
    from mlflow.exceptions import MlflowException

    store = fraction.store()
    (version,) = store.versions()
    assert version.tags["dvc_model_md5"] == fraction.out("train", "models/model.safetensors")
    with pytest.raises(MlflowException, match="candidate"):
        store.candidate()


@pytest.fixture(scope="module")
def temporary(fraction: Project) -> Project:
    """The sandbox after an experiment in a temporary folder."""
    fraction.git("stash", "--quiet")
    fraction.dvc("checkout", "--quiet")
    fraction.git("tag", "data/v1.0")
    fraction.dvc("exp", "run", "--temp", "--name", "aside", "-S", "train=debug")
    return fraction


def test_a_temporary_experiment_leaves_nothing_in_its_folder(temporary: Project, baseline: Project) -> None:
    (run,) = experiment_runs(temporary, "aside")
    tags = run.data.tags
    assert_all_in_own_store(temporary, [run])
    assert tags["mlflow.source.git.commit"] == baseline.git("rev-parse", "HEAD")
    assert tags["git_dirty"] == "false"
    assert tags["git_branch"] == "main"
    assert tags["git_repo_url"] == str(baseline.root)
    # the dataset is that of the baseline's commit, which is known before training starts
    assert run.data.params["data_git_commit_id"] == tags["data_git_commit_id"] == baseline.git("rev-parse", "HEAD")
    assert tags["data_version"] == "v1.0"
    assert list((temporary.root / ".dvc" / "tmp" / "exps").rglob("mlartifacts")) == []


def test_a_temporary_experiment_touches_nothing_in_the_workspace(temporary: Project) -> None:
    assert temporary.git("status", "--porcelain") == ""
    assert temporary.params["train"]["epochs"] == 10


def test_apply_and_branch_bring_the_experiment_and_nothing_reruns(temporary: Project) -> None:
    temporary.dvc("exp", "branch", "aside", "kept")
    temporary.dvc("exp", "apply", "aside")
    assert temporary.params["train"]["epochs"] == 1
    assert "Running stage" not in temporary.dvc("repro")
    shown = temporary.git("show", "kept:lineage.json")
    assert temporary.out("train", "models/model.safetensors") in shown
    # only outside of experiments the alias moves
    temporary.dvc("repro", "--force", "--single-item", "register")
    assert temporary.store().candidate() == temporary.lineage["model"]["version"]
    temporary.git("reset", "--hard", "--quiet")
    temporary.dvc("checkout", "--quiet")


def test_two_queue_workers_make_two_runs_and_two_versions(temporary: Project) -> None:
    before = {run.info.run_id for run in temporary.store().runs("train")}
    temporary.dvc("exp", "run", "--queue", "-S", "train=debug", "-S", "train.lr=choice(0.03,0.001)")
    with temporary.queue_workers(2):
        tasks = [line.split()[0] for line in temporary.dvc("queue", "status").splitlines()[1:3]]
        for task in tasks:
            temporary.dvc("queue", "logs", "--follow", task, code=None)  # returns when the task has ended
        wait_until(lambda: temporary.dvc("queue", "status").count("Success") == 2, temporary)
    made = [run for run in temporary.store().runs("train") if run.info.run_id not in before]
    assert {run.data.params["train.lr"] for run in made} == {"0.03", "0.001"}
    assert_all_in_own_store(temporary, made)
    models = {run.data.tags["dvc_model_md5"] for run in made}
    assert models <= {version.tags["dvc_model_md5"] for version in temporary.store().versions()}


def test_a_worktree_uses_the_main_projects_store(baseline: Project, tmp_path: Path) -> None:
    main = baseline.clone(tmp_path / "main")
    main.git("worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "side")
    tree = Project(tmp_path / "tree", main.venv, main.environment)
    tree.dvc("pull", "--quiet")
    tree.compose("train=debug")
    tree.dvc("repro")
    from mlflow.exceptions import MlflowException

    (run,) = main.store().runs("train")
    assert run.data.tags["git_branch"] == "side"
    assert_all_in_own_store(main, [run])
    assert not (tree.root / "mlflow.db").exists()
    with pytest.raises(MlflowException, match="candidate"):  # only the default branch may move it
        main.store().candidate()
    tree.commit("In the worktree")
    tree.dvc("push", "--quiet")
    main.git("worktree", "remove", "--force", str(tree.root))
    main.git("checkout", "--quiet", "side")
    main.dvc("pull", "--quiet")
    assert "Running stage" not in main.dvc("repro")


def test_a_project_in_a_subdirectory_of_a_larger_repository(baseline: Project, tmp_path: Path) -> None:
    outer = tmp_path / "one of many"  # with spaces, which URIs escape (dvc itself refuses non-ASCII paths with --temp)
    (outer / "teams").mkdir(parents=True)
    root = bake(outer / "teams")
    use_perceptron(root)
    shutil.rmtree(root / ".git")
    project = Project(root, baseline.venv, baseline.environment)
    subprocess.run(["git", "init", "--quiet", str(outer)], check=True)
    subprocess.run(["git", "-C", str(outer), "symbolic-ref", "HEAD", "refs/heads/main"], check=True)
    # the bake has seen no repository around it, so the remote has no ignore file of its own
    (outer / ".gitignore").write_text("/teams/traceable-digits-dvc-remote\n")
    project.commit("Begin")
    project.compose("train=debug")
    project.dvc("repro")
    first = project.commit("First model")
    project.dvc("exp", "run", "--temp", "--name", "inside", "-S", "train=debug", "-S", "train.seed=7")
    runs = project.store().runs("train")
    assert [run.data.tags["git_dirty"] for run in runs] == ["false", "false"]
    assert runs[1].data.params["data_git_commit_id"] == first
    assert_all_in_own_store(project, runs)
    project.dvc("push", "--quiet")
    assert "ok" in project.run("lineage", "doctor", code=None)
