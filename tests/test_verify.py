"""verify: every link of an undamaged project passes, wherever it is asked from."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from baked import Project
from command import Lineage
from damage import edit, rewrite
from servers import mlflow_server

LINKS = [
    "version",
    "training run",
    "parameters in MLflow",
    "metrics in MLflow",
    "other runs",
    "result commit",
    "dvc.lock",
    "code",
    "parameters",
    "lineage.json",
    "run record",
    "environment",
    "data commit",
    "metrics",
    "DVC remote",
    "DVC cache",
    "dataset",
    "registered artifact",
    "aliases",
]
CANDIDATE = "models:/traceable-digits@candidate"


def test_every_link_of_a_fresh_model_passes(linked: Project, lineage: Lineage) -> None:
    proof = lineage.verify(linked, CANDIDATE, "--rehash")
    assert proof.not_passed == {}
    assert proof.status == 0
    assert [link["name"] for link in proof.links] == LINKS
    assert all(link["looked_at"] > 0 for link in proof.links)
    assert proof.link("dataset")["looked_at"] == 1797 + 3  # each record, root and salt, the copy in the run


def test_all_versions_are_proved_together(linked: Project, lineage: Lineage) -> None:
    document = json.loads(lineage(linked, "verify", "--all", "--json"))
    assert [model["model"] for model in document["models"]] == [
        "models:/traceable-digits/1",
        "models:/traceable-digits/2",
    ]
    assert {model["state"] for model in document["models"]} == {"PASS"}


def test_git_and_dvc_prove_the_model_with_mlflow_gone(project: Project, lineage: Lineage) -> None:
    (project.root / "mlflow.db").unlink()
    shutil.rmtree(project.root / "mlartifacts")
    proof = lineage.verify(project, "lineage.json")
    assert (proof.status, proof.not_passed) == (0, {})
    assert "was not asked" in proof.link("environment")["text"]
    status, output = lineage.ask(project, "verify", CANDIDATE)
    assert status == 2
    assert "no MLflow store" in output
    assert "Traceback" not in output
    assert not (project.root / "mlflow.db").exists()


def test_a_detached_head_a_worktree_and_a_subfolder_change_no_answer(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    project.git("checkout", "--quiet", "--detach", "HEAD~1")
    assert lineage.verify(project, CANDIDATE).not_passed == {}
    project.git("checkout", "--quiet", "main")
    assert lineage.ask(project, "verify", CANDIDATE, folder=project.root / "conf" / "data")[0] == 0
    project.git("worktree", "add", "--quiet", str(tmp_path / "worktree"))
    shutil.copyfile(project.root / ".dvc" / "config.local", tmp_path / "worktree" / ".dvc" / "config.local")
    worktree = Project(tmp_path / "worktree", project.venv, project.environment)
    proof = lineage.verify(worktree, CANDIDATE)
    assert {name: link for name, link in proof.not_passed.items() if name != "DVC cache"} == {}
    assert "0 linked now" in lineage(worktree, "link")


def test_a_second_clone_proves_with_nothing_but_the_remotes(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    origin = linked.git("remote", "get-url", "origin")
    subprocess.run(["git", "clone", "--quiet", origin, str(tmp_path / "clone")], check=True)
    clone = Project(tmp_path / "clone", linked.venv, linked.environment)
    (clone.root / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {linked.remote}\n")
    proof = lineage.verify(clone, "lineage.json", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    assert "no commit" not in lineage(clone, "trace", "lineage.json")


def test_a_thousand_commits_later(project: Project, lineage: Lineage) -> None:
    tip = project.git("rev-parse", "HEAD")
    head = "commit refs/heads/main\ncommitter T <t@example.org> {} +0000\ndata 1\nx\n{}"
    file = "M 100644 inline later.txt\ndata 4\n{:04}\n\n"
    stream = "".join(
        head.format(1_900_000_000 + number, f"from {tip}\n" if number == 0 else "") + file.format(number)
        for number in range(1000)
    )
    subprocess.run(
        ["git", "-C", project.root, "fast-import", "--quiet", "--force"], input=stream, text=True, check=True
    )
    project.git("reset", "--quiet", "--hard")
    project.git("push", "--quiet", "origin", "main")
    assert project.git("rev-list", "--count", f"{tip}..HEAD") == "1000"
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


@pytest.mark.parametrize(
    "overrides",
    [["train=debug", "train.seed=5", "train.weight_decay=1e-5"], []],
    ids=["number 2 there, 1 here", "number 1 in both"],
)
def test_a_cached_training_registered_in_a_new_store(
    overrides: list[str], project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    with mlflow_server(project, tmp_path / "server.db") as uri:
        project.compose(*overrides, f"tracking.uri={uri}")
        output = project.dvc("repro")
        assert "stages.register" in output
        assert "stages.train" not in output
        project.commit("Registered in a second store")
        project.git("push", "--quiet", "origin", "main")
        project.dvc("push", "--quiet")
        lineage(project, "link")
        proof = lineage.verify(project, "models:/traceable-digits/1")
        assert (proof.status, proof.not_passed) == (0, {})
        assert proof.link("training run")["looked_at"] > 10  # it is in the first store
        alone = ("python", "-m", "lineage.cli", "verify")  # which has not imported MLflow, and shares a process for it
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        project.environment["TMPDIR"] = str(scratch)
        assert "1 of 1 models proved" in project.run(*alone, "models:/traceable-digits/1")
        assert list(scratch.glob("tmp*")) == []  # what was downloaded may say who is in it
        page = tmp_path / "trace.html"
        lineage(project, "trace", CANDIDATE, "--html", str(page))
    status, output = lineage.ask(project, "verify", CANDIDATE)
    assert status == 2
    assert f"{uri} does not answer" in output
    assert "`lineage verify lineage.json` and `lineage audit ... --without-mlflow` ask Git" in output
    assert f"{uri} does not answer" in project.run(*alone, CANDIDATE, code=2)
    assert lineage.verify(project, "lineage.json").not_passed == {}


def test_raw_data_that_its_owner_added(project: Project, lineage: Lineage) -> None:
    """`dvc add data/raw` in place of the stage fetch."""
    project.own_raw_data()
    project.compose("train=debug", "train.seed=8")
    project.dvc("repro")
    project.commit("Third model")
    project.git("push", "--quiet", "origin", "main")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    proof = lineage.verify(project, "models:/traceable-digits/3", "--rehash")
    assert (proof.status, proof.not_passed) == (0, {})
    assert "models:/traceable-digits/3" in lineage(project, "trace", "data/raw")
    added = project.root / "data" / "raw.dvc"
    edit(added, yaml.safe_load(added.read_text())["outs"][0]["md5"], "0" * 32 + ".dir")()
    rewrite(project, lambda: None, "Third model")
    lineage(project, "link")
    assert "data/raw" in lineage.verify(project, "models:/traceable-digits/3").not_passed["code"]
