"""A commit holds all parts of one run, or the hook, doctor and verify say which are not, and what fixes it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from baked import Project
from command import Lineage

SECOND = "models:/traceable-digits/2"
PARTS = ("dvc.lock", "lineage.json", "params.yaml")


def result(project: Project, lineage: Lineage, check: str = "last result") -> dict[str, str]:
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    return next(item for item in found if item["check"] == check)


def uncommit(project: Project) -> None:
    """The second model as it lies there before its commit, which no ref knows any more."""
    project.git("reset", "--quiet", "--mixed", "HEAD~1")
    project.git("push", "--quiet", "--force", "origin", "main")
    project.git("reflog", "expire", "--expire=now", "--all")


def committed_by(project: Project, *arguments: str) -> str:
    """What Git and its hook print when a commit is made."""
    return project.run("git", "commit", "--quiet", "--message", "Second model", *arguments)


@pytest.mark.parametrize("part", ["lineage.json", "params.yaml"])
def test_what_was_left_out_is_named_and_one_command_mends_it(part: str, project: Project, lineage: Lineage) -> None:
    uncommit(project)
    lineage(project, "link", "--install-hook")
    project.git("add", *(name for name in PARTS if name != part))
    said = committed_by(project)
    assert "do not belong together" in said
    assert f"git add {part}" in said
    project.git("push", "--quiet", "origin", "main")
    found = result(project, lineage)
    assert found["state"] == "wrong"
    assert part in found["text"]
    assert found["fix"] == f"git add {part} && git commit -m 'What was left out' && lineage link"
    lineage(project, "link")  # as the hook does in the background
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    if part == "lineage.json":
        assert found["fix"] in proof.not_passed["lineage.json"]
    project.run("sh", "-c", found["fix"])
    project.git("push", "--quiet", "origin", "main")
    assert result(project, lineage)["state"] == "right"
    assert project.version_tags("2")["result_git_commit_id"] == project.git("rev-parse", "HEAD")
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})
    assert lineage.verify(project, "lineage.json").status == 0
    # what is edited after it is no part of that run
    source = project.root / "traceable_digits" / "model" / "training.py"
    source.write_text(source.read_text() + "\n# later\n")
    assert "wrong" not in committed_by(project, "--all")
    assert result(project, lineage)["state"] == "right"


def test_half_of_a_result_in_the_index_is_said_before_the_commit(project: Project, lineage: Lineage) -> None:
    uncommit(project)
    project.git("add", "dvc.lock")  # as dvc does with core.autostage
    found = result(project, lineage)
    assert (found["state"], found["fix"]) == ("unknown", "git add lineage.json params.yaml")
    project.run("sh", "-c", found["fix"])
    assert "do not belong" not in committed_by(project)
    assert result(project, lineage)["state"] == "right"


def test_settings_and_data_without_a_training_are_no_fault(project: Project, lineage: Lineage) -> None:
    project.compose("train=debug", "train.seed=99")
    project.commit("Settings for later")
    assert result(project, lineage)["state"] == "right"


def two_branches(project: Project, lineage: Lineage) -> None:
    """`feature` has another model than main, made as a user makes it, and main is to be merged into it."""
    project.git("checkout", "--quiet", "-b", "feature", project.commit_of("First model"))
    project.dvc("checkout", "--quiet")
    project.compose("train=debug", "train.seed=7")
    project.dvc("repro")
    project.commit("Third model")
    lineage(project, "link", "--install-hook")


def test_a_merge_of_two_models_as_docs_merging_ends_it(project: Project, lineage: Lineage) -> None:
    two_branches(project, lineage)
    project.run("git", "merge", "main", code=1)
    assert "<<<<<<<" not in (project.root / "dvc.lock").read_text()  # .gitattributes: whole, or not at all
    found = result(project, lineage, "merge")
    assert (found["state"], found["fix"].partition(" --")[0]) == ("wrong", "git checkout HEAD")
    assert "git merge --abort" in found["text"]
    assert "dvc.lock" in found["text"]
    ours = (project.root / "dvc.lock").read_text()

    # each file from another side, without a word from Git
    project.git("checkout", "--theirs", "--", "lineage.json")
    project.git("checkout", "main", "--", "params.yaml")
    project.git("add", *PARTS)
    found = result(project, lineage, "merge")
    assert (found["state"], "all its conflicts are resolved" in found["text"]) == ("unknown", True)
    said = project.run("git", "commit", "--quiet", "--no-edit")
    assert "do not belong together" in said
    found = result(project, lineage)
    assert found["state"] == "wrong"
    assert "lineage.json is not the one that dvc.lock records" in found["text"]
    assert "is of another run than dvc.lock beside it" in lineage.verify(project, "lineage.json").output
    assert lineage.verify(project, SECOND).state == "PASS"  # where it was made, it is proved as before
    project.run("sh", "-c", found["fix"])
    assert result(project, lineage)["state"] == "right"
    assert (project.root / "dvc.lock").read_text() != ours  # theirs settings, run again: theirs model, from the cache

    # and as the page says it
    project.git("reset", "--quiet", "--hard", project.commit_of("Third model"))
    project.dvc("checkout", "--quiet")
    project.run("git", "merge", "main", code=1)
    project.run("sh", "-c", result(project, lineage, "merge")["fix"])
    project.dvc("repro")
    assert "do not belong" not in project.run("git", "commit", "--quiet", "--all", "--no-edit")
    assert (project.root / "dvc.lock").read_text() == ours
    project.git("push", "--quiet", "origin", "feature")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    assert result(project, lineage)["state"] == "right"
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_a_merge_without_conflict_is_looked_at_when_git_commits_it(project: Project, lineage: Lineage) -> None:
    project.git("checkout", "--quiet", "-b", "feature", project.commit_of("First model"))
    project.compose("data.fraction=0.5")
    project.commit("Settings for later")
    lineage(project, "link", "--install-hook")
    said = project.run("git", "merge", "--no-edit", "main")  # the model of main, with settings that nothing ran with
    assert "do not belong together" in said
    assert "data.fraction" in said
    found = result(project, lineage)
    assert (found["state"], found["fix"].partition(" ")[0]) == ("wrong", "dvc")
    assert (project.root / ".dvc" / "tmp" / "link.log").exists()


def test_a_result_carried_elsewhere_by_cherry_pick_or_rebase_is_looked_at(project: Project, lineage: Lineage) -> None:
    second = project.commit_of("Second model")
    project.git("checkout", "--quiet", "-b", "feature", project.commit_of("First model"))
    code = project.root / "traceable_digits" / "model" / "training.py"
    code.write_text(code.read_text() + "\n# on this branch alone\n")
    other = project.commit("Other code")
    lineage(project, "link", "--install-hook")
    assert "do not belong together" in project.run("git", "cherry-pick", second)
    assert result(project, lineage)["state"] == "wrong"
    project.git("checkout", "--quiet", "-B", "main", second)
    assert "do not belong together" in project.run("git", "rebase", other)
    assert result(project, lineage)["state"] == "wrong"
    proof = lineage.verify(project, SECOND)  # the commit that it was made in was pushed, and is still whole
    assert (proof.state, proof.not_passed) == ("PASS", {})


def test_marks_of_a_conflict_are_called_so(project: Project, lineage: Lineage) -> None:
    lock = project.root / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> main\n")
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    wrong = [item for item in found if item["state"] == "wrong"]
    assert [item["check"] for item in wrong] == ["merge"]
    assert "in conflict in dvc.lock" in wrong[0]["text"]
    project.commit("With its marks")
    project.run("sh", "-c", result(project, lineage, "merge")["fix"])
    project.commit("Without them")
    assert result(project, lineage)["state"] == "right"


def test_a_commit_of_lineage_json_alone_is_linked(project: Project, lineage: Lineage) -> None:
    lineage(project, "link", "--install-hook")
    script = project.root / ".git" / "hooks" / "post-commit"
    called = project.root / ".dvc" / "tmp" / "link.log"
    called.unlink(missing_ok=True)
    path = project.root / "lineage.json"
    path.write_text(path.read_text() + "\n")
    said = project.run("git", "commit", "--quiet", "--all", "--message", "Edited")
    assert "lineage.json is not the one that dvc.lock records" in said
    assert called.exists()
    assert script.exists()


def test_a_folder_with_other_letters_is_not_passed_by(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    """A project below another repository, in a folder whose name Git writes in quotes."""
    outer = tmp_path / "outer"
    inner = Project(outer / "modèle 'é'" / "ü", project.venv, project.environment)
    inner.root.parent.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(outer)], check=True)
    project.root.rename(inner.root)
    (inner.root / ".git").rename(tmp_path / "was.git")
    (inner.root / "mlflow.db").unlink()
    inner.git("add", "--all")
    inner.git("commit", "--quiet", "--message", "All")
    lineage(inner, "link", "--install-hook")
    lock = inner.root / "dvc.lock"
    lock.write_text(lock.read_text() + "\n")
    inner.git("commit", "--quiet", "--all", "--message", "A blank line")
    assert (inner.root / ".dvc" / "tmp" / "link.log").exists()
