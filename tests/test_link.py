"""link: the commits that hold each result, also after history was rewritten; and the hook that calls it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from baked import Project, bake
from command import Lineage

CANDIDATE = "models:/traceable-digits@candidate"


def test_link_names_the_commits_that_hold_each_result(linked: Project) -> None:
    first, second = linked.commit_of("First model"), linked.commit_of("Second model")
    for number, commit in (("1", first), ("2", second)):
        tags = linked.version_tags(number)
        assert tags["lineage_status"] == "linked"
        assert tags["result_git_commit_id"] == commit
        assert tags["data_git_commit_id"] == first
    store = linked.store()
    for version, commit in zip(store.versions(), (first, second), strict=True):
        assert f"- result commit: `{commit}`" in version.description
        # what MLflow compares versions by
        scores = json.loads(linked.git("show", f"{commit}:lineage.json"))["metrics"]["test"]
        logged = store.client.get_run(version.run_id).data.metrics
        assert {key: logged[f"test_{key}"] for key in scores} == scores
    for stage in ("preprocess", "train", "evaluate", "register"):
        for run in store.runs(stage):
            assert run.data.tags["lineage_status"] == "linked"
            assert run.data.params["data_git_commit_id"] == first
    pages = [store.artifacts(run, "lineage") for run in store.runs("register")]
    assert pages == [["lineage/traceable-digits-1.html"], ["lineage/traceable-digits-2.html"]]


def test_link_changes_nothing_the_second_time(project: Project, lineage: Lineage) -> None:
    before = (project.root / "mlflow.db").read_bytes()
    assert "0 linked now" in lineage(project, "link")
    assert (project.root / "mlflow.db").read_bytes() == before


def test_what_is_not_committed_stays_pending(project: Project, lineage: Lineage) -> None:
    project.git("reset", "--soft", "HEAD~1")
    project.git("update-ref", "-d", "refs/remotes/origin/main")
    output = lineage(project, "link")
    assert "the commit of models:/traceable-digits/2 is gone" in output
    tags = project.version_tags("2")
    assert tags["lineage_status"] == "pending"
    assert "result_git_commit_id" not in tags
    assert tags["lost_git_commit_id"]
    proof = lineage.verify(project, "models:/traceable-digits/2")
    assert proof.state == "INCONCLUSIVE"
    assert "not committed yet" in proof.not_passed["result commit"]
    commit = project.commit("Second model, committed again")
    lineage(project, "link")
    tags = project.version_tags("2")
    assert (tags["lineage_status"], tags["result_git_commit_id"]) == ("linked", commit)
    assert "lost_git_commit_id" not in tags


def test_a_clone_that_lacks_the_commits_takes_no_link_away(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    before = [project.version_tags(number) for number in "12"]
    other = Project(bake(tmp_path / "other"), project.venv, project.environment)
    shutil.rmtree(project.root / ".git")
    shutil.copytree(other.root / ".git", project.root / ".git")  # a history that knows nothing of these models
    assert "not in this clone" in lineage(project, "link")
    assert [project.version_tags(number) for number in "12"] == before
    assert lineage.verify(project, CANDIDATE).state == "FAIL"


@pytest.mark.parametrize("way", ["rebase", "squash"])
def test_rewritten_history_is_linked_anew(way: str, project: Project, lineage: Lineage) -> None:
    old = project.git("rev-parse", "HEAD")
    if way == "rebase":
        project.git("rebase", "--quiet", "--force-rebase", "--committer-date-is-author-date", "--root")
        project.git("commit", "--quiet", "--amend", "--message", "Second model, told better")
    else:
        (project.root / "notes.md").write_text("a note\n")
        project.commit("A note")
        project.git("reset", "--soft", "HEAD~2")
        project.git("commit", "--quiet", "--message", "Second model and a note")
    project.git("push", "--quiet", "--force", "origin", "main")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")
    assert lineage.verify(project, CANDIDATE).link("result commit")["state"] == "FAIL"
    lineage(project, "link")
    assert project.version_tags("2")["result_git_commit_id"] == project.git("rev-parse", "HEAD") != old
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_experiments_are_linked_and_linked_anew_when_applied(project: Project, lineage: Lineage) -> None:
    project.dvc("exp", "run", "--quiet", "--name", "sixth", "-S", "train=debug", "-S", "train.seed=6")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    tags = project.version_tags("3")
    experiment = project.git("for-each-ref", "refs/exps", "--format=%(refname) %(objectname)")
    assert tags["result_git_commit_id"] in experiment
    (run,) = [run for run in project.store().runs("train") if run.info.run_id == tags["training_run_id"]]
    assert run.data.params["data_git_commit_id"] == project.commit_of("First model")  # it is on a branch
    proof = lineage.verify(project, "sixth")
    assert list(proof.not_passed) == ["result commit"]  # nobody pushed the experiment
    assert "dvc exp push" in proof.link("result commit")["fix"]
    assert "models:/traceable-digits/3" in lineage(project, "trace", "sixth")
    project.dvc("exp", "branch", "sixth", "sixth-branch")
    project.git("push", "--quiet", "origin", "sixth-branch")
    lineage(project, "link")
    assert lineage.verify(project, "models:/traceable-digits/3").not_passed == {}
    project.git("branch", "--quiet", "-D", "sixth-branch")
    project.git("push", "--quiet", "origin", "--delete", "sixth-branch")
    project.dvc("exp", "apply", "sixth")
    project.dvc("exp", "remove", "sixth")
    commit = project.commit("Take the sixth")
    project.git("push", "--quiet", "origin", "main")
    lineage(project, "link")
    assert project.version_tags("3")["result_git_commit_id"] == commit
    proof = lineage.verify(project, "--all")
    assert (proof.status, proof.not_passed) == (0, {})


def test_the_hook_links_after_a_commit_and_never_fails_it(project: Project, lineage: Lineage) -> None:
    lineage(project, "link", "--install-hook")
    project.sql("UPDATE model_version_tags SET value = 'pending' WHERE key = 'lineage_status'")
    project.git("commit", "--quiet", "--allow-empty", "--message", "Nothing of interest")
    assert not (project.root / ".dvc" / "tmp" / "link.log").exists()
    lock = project.root / "dvc.lock"
    lock.write_text(lock.read_text() + "\n")
    project.commit("A blank line")
    assert wait_linked(project), (project.root / ".dvc" / "tmp" / "link.log").read_text()


def wait_linked(project: Project) -> bool:
    """Waits until the hook, which works in the background, has linked both versions."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if {project.version_tags(number)["lineage_status"] for number in "12"} == {"linked"}:
            return True
        time.sleep(0.2)
    return False


def test_the_hook_leaves_other_hooks_alone(project: Project, lineage: Lineage) -> None:
    hook = project.root / ".git" / "hooks" / "post-commit"
    hook.write_text("#!/bin/sh\necho mine\n")
    assert "left alone" in lineage(project, "link", "--install-hook")
    assert "mine" in hook.read_text()
