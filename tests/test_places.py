"""Nothing that holds data lies where a Git repository would take it in, be it that of a folder above."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from baked import Project
from command import Lineage


def finding(project: Project, lineage: Lineage) -> dict[str, str]:
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    return next(item for item in found if item["check"] == "data and Git")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_repository_around_the_remote(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    assert finding(project, lineage)["state"] == "right"
    git(tmp_path, "init", "--quiet")
    remote = tmp_path / "dvc-remote"
    found = finding(project, lineage)
    assert found["state"] == "wrong"
    assert f"the DVC remote {remote} lies in the Git repository {tmp_path}" in found["text"]
    for command in (("data", "push"), ("data", "tag", "v1.0")):
        said = lineage(project, *command, code=1)
        assert f"the DVC remote {remote} lies in" in said
        assert found["fix"] in said
    assert project.git("tag", "--list") == ""
    said = project.dvc("repro", "--force", "--single-item", "config", code=255)
    assert f"the DVC remote {remote} lies in" in said

    git(tmp_path, "add", "dvc-remote")  # as `git add --all` did before anybody asked
    found = finding(project, lineage)
    assert "has data in it already" in found["text"]
    project.run("sh", "-c", found["fix"])
    assert finding(project, lineage)["state"] == "right"
    lineage(project, "data", "push")
    assert "dvc-remote" not in git(tmp_path, "status", "--porcelain", "--untracked-files=all")
    project.dvc("repro", "--force", "--single-item", "config")


def test_a_cache_and_a_store_of_ones_own_inside_of_the_project(project: Project, lineage: Lineage) -> None:
    for name, change in (
        ("the DVC cache", lambda: project.dvc("cache", "dir", "--local", str(project.root / "cache"))),
        ("the MLflow store", lambda: project.compose("train=debug", "tracking.uri=sqlite:///runs/all.db")),
    ):
        change()
        found = finding(project, lineage)
        assert (found["state"], name in found["text"]) == ("wrong", True)
        project.run("sh", "-c", found["fix"])
        assert finding(project, lineage)["state"] == "right"
