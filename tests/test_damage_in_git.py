"""Damage to what Git holds: found, named, never passed over."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from baked import Project
from command import Lineage
from damage import SECOND, WEIGHTS, edit, lock_edit, rewrite


def test_a_commit_that_is_gone(project: Project, lineage: Lineage) -> None:
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("commit", "--quiet", "--allow-empty", "--message", "Second model")  # the same words are no proof
    rewrite(project, lambda: None)
    proof = lineage.verify(project, SECOND)
    assert (proof.status, proof.state) == (1, "FAIL")
    assert "is absent" in proof.not_passed["result commit"]
    assert "dvc.lock" in proof.not_passed
    lineage(project, "link")
    assert lineage.verify(project, SECOND).state == "FAIL"


def test_a_commit_that_no_ref_leads_to(project: Project, lineage: Lineage) -> None:
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("update-ref", "-d", "refs/remotes/origin/main")
    assert "in no ref" in lineage.verify(project, SECOND).not_passed["result commit"]


def test_a_commit_that_was_not_pushed(project: Project, lineage: Lineage) -> None:
    origin = project.git("remote", "get-url", "origin")
    project.git("-C", origin, "update-ref", "refs/heads/main", "HEAD~1")
    assert "not pushed" in lineage.verify(project, SECOND).not_passed["result commit"]


def test_a_git_remote_that_does_not_answer(project: Project, lineage: Lineage) -> None:
    shutil.rmtree(project.git("remote", "get-url", "origin"))
    proof = lineage.verify(project, SECOND)
    assert (proof.status, proof.state) == (2, "INCONCLUSIVE"), proof.not_passed
    assert list(proof.not_passed) == ["result commit"]


def test_a_shallow_clone_cannot_tell(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    project.git("commit", "--quiet", "--allow-empty", "--message", "Later")
    project.git("push", "--quiet", "origin", "main")
    origin = project.git("remote", "get-url", "origin")
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{origin}", str(tmp_path / "shallow")], check=True)
    shutil.rmtree(project.root / ".git")
    shutil.move(tmp_path / "shallow" / ".git", project.root / ".git")
    proof = lineage.verify(project, SECOND)
    assert (proof.status, proof.state) == (2, "INCONCLUSIVE"), proof.not_passed
    assert "git fetch --unshallow" in proof.not_passed["result commit"]
    project.git("fetch", "--quiet", "--unshallow")
    assert lineage.verify(project, SECOND).state == "PASS"


@pytest.mark.parametrize(
    ("stage", "path", "links"),
    [
        ("train", "data/processed", {"result commit", "dvc.lock"}),  # another model identity: no commit holds this one
        ("train", WEIGHTS, {"result commit", "dvc.lock"}),
        ("preprocess", "data/raw", {"code", "lineage.json"}),
        ("preprocess", "data/processed", {"code"}),
        ("fetch", "data/raw", {"code"}),
        ("evaluate", "metrics/test.json", {"metrics"}),
        ("register", "lineage.json", {"lineage.json"}),
    ],
)
def test_dvc_lock_edited_by_hand(stage: str, path: str, links: set[str], project: Project, lineage: Lineage) -> None:
    rewrite(project, lambda: lock_edit(project, stage, path))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    assert proof.status in (1, 2)
    assert links <= set(proof.not_passed)


def test_a_parameter_in_dvc_lock_edited_by_hand(project: Project, lineage: Lineage) -> None:
    rewrite(project, edit(project.root / "dvc.lock", "data.fraction: 1.0", "data.fraction: 0.5"))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    assert "data.fraction" in proof.not_passed["parameters"]
    assert "data.fraction" in proof.not_passed["parameters in MLflow"]


@pytest.mark.parametrize(
    ("file", "link"),
    [
        ("traceable_digits/model/training.py", "code"),
        ("lineage/records/selection.py", "code"),
        ("traceable_digits/serving.py", "code"),
        ("conf/train/default.yaml", "code"),
        ("params.yaml", "code"),
        ("requirements.lock", "environment"),
        ("dvc.yaml", None),
    ],
)
def test_a_file_edited_between_run_and_commit(file: str, link: str | None, project: Project, lineage: Lineage) -> None:
    path = project.root / file
    rewrite(project, lambda: path.write_text(path.read_text() + "\n# edited afterwards\n"))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    if link is None:  # a comment in dvc.yaml changes nothing that was run
        assert proof.not_passed == {}
    else:
        assert proof.state == "FAIL"
        named = [str(path) for path in (Path(file), *Path(file).parents[:-1])]  # the file, or a folder it is in
        assert any(name in proof.not_passed[link] for name in named)


def test_a_command_edited_between_run_and_commit(project: Project, lineage: Lineage) -> None:
    rewrite(
        project, edit(project.root / "dvc.yaml", "scripts/stage.py traceable_digits.stages.train", "scripts/evil.py")
    )
    lineage(project, "link")
    assert "the command of stage train" in lineage.verify(project, SECOND).not_passed["code"]


def test_an_older_lineage_file_put_back(project: Project, lineage: Lineage) -> None:
    older = project.git("show", "HEAD~1:lineage.json") + "\n"
    rewrite(project, lambda: (project.root / "lineage.json").write_text(older))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert "lineage.json" in proof.not_passed["lineage.json"]
    assert lineage.verify(project, "lineage.json").state == "FAIL"


def test_an_older_lineage_file_in_the_workspace(project: Project, lineage: Lineage) -> None:
    (project.root / "lineage.json").write_text(project.git("show", "HEAD~1:lineage.json") + "\n")
    proof = lineage.verify(project, "lineage.json")
    assert proof.state == "FAIL"
    assert "dvc.lock beside it" in proof.not_passed["lineage.json"]


@pytest.mark.parametrize("path", ["models/run.json", "metrics/test.json", "metrics/train.json", "plots/training.csv"])
def test_another_sha256_in_the_lineage_file(path: str, project: Project, lineage: Lineage) -> None:
    """As if an object had the MD5 that its name promises and other bytes. What names the file is forged along."""
    file = project.root / "lineage.json"

    def forge() -> None:
        (sha256,) = [out["sha256"] for out in project.lineage["outputs"] if out["path"] == path]
        edit(file, sha256, "0" * 64)()
        lock_edit(project, "register", "lineage.json", hashlib.md5(file.read_bytes()).hexdigest())

    rewrite(project, forge)
    lineage(project, "link")
    proof = lineage.verify(project, SECOND, "--rehash")
    assert set(proof.not_passed) == {"DVC remote", "DVC cache"}
    assert path in proof.not_passed["DVC remote"]
    assert "SHA-256" in proof.not_passed["DVC remote"]


def test_an_untracked_module_in_the_run(project: Project, lineage: Lineage) -> None:
    extra = project.root / "traceable_digits" / "model" / "extra.py"
    extra.write_text("FACTOR = 2\n")
    project.compose("train=debug", "train.seed=9")
    project.dvc("repro")
    extra.unlink()  # or: forgotten in `git add`
    project.commit("Third model")
    project.git("push", "--quiet", "origin", "main")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    proof = lineage.verify(project, "models:/traceable-digits/3")
    assert list(proof.not_passed) == ["code"]
    assert "traceable_digits/model" in proof.not_passed["code"]
    assert "extra.py" in proof.not_passed["code"]
