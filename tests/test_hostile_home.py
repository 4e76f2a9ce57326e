"""A home in which Git, DVC, MLflow and Python are set up as nobody here expects: every answer is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from baked import Project
from command import Lineage

pytestmark = pytest.mark.usefixtures("new_processes")

GIT = """
[user]
    name = Tester
    email = tester@example.org
[init]
    defaultBranch = trunk
[core]
    autocrlf = true
    quotepath = true
    abbrev = 4
    pager = false
    editor = false
    hooksPath = {home}/hooks
    attributesFile = {home}/attributes
    excludesFile = {home}/ignored
[color]
    ui = always
[diff]
    noprefix = true
    external = false
    renames = copies
    mnemonicPrefix = true
[status]
    showUntrackedFiles = no
    relativePaths = false
[log]
    showSignature = true
    follow = true
    date = relative
    abbrevCommit = true
    decorate = full
[format]
    pretty = oneline
[grep]
    lineNumber = true
    patternType = perl
[blame]
    date = relative
[tag]
    sort = -creatordate
[commit]
    gpgsign = false
[rebase]
    autoStash = true
[push]
    default = nothing
"""
DVC = "[core]\n    autostage = true\n    check_update = false\n    hardlink_lock = false\n"


@pytest.fixture
def hostile(project: Project, tmp_path: Path) -> Project:
    """The linked project, as who works in such a home finds it."""
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    (home / ".config" / "dvc").mkdir(parents=True)
    (home / ".gitconfig").write_text(GIT.format(home=home))
    (home / "attributes").write_text("*.yaml diff=none\n")
    (home / "ignored").write_text("*.orig\n")
    (home / ".config" / "dvc" / "config").write_text(DVC)
    (home / "start.py").write_text("raise SystemExit('start')\n")
    del project.environment["GIT_CONFIG_NOSYSTEM"]
    project.environment |= {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_PAGER": "false",
        "DVC_EXP_NAME": "left-over",
        "DVC_EXP_BASELINE_REV": "0" * 40,
        "DVC_ROOT": str(home),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/other.db",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{home}/other.db",
        "MLFLOW_EXPERIMENT_NAME": "other",
        "MLFLOW_RUN_ID": "0" * 32,
        "MLFLOW_RUN_NAME": "other",
        "PYTHONSTARTUP": str(home / "start.py"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIPELINE_CALLBACKS": "none",
        "LC_ALL": "C",
        "TZ": "Pacific/Kiritimati",
    }
    return project


def test_a_model_is_made_linked_and_proved_in_a_hostile_home(hostile: Project, lineage: Lineage) -> None:
    assert "train.seed: 5 -> 6" in lineage(hostile, "compose", "train=debug", "train.seed=6")
    assert "models:/traceable-digits/3 registered; the alias candidate points to it" in hostile.dvc("repro")
    commit = hostile.commit("Third model")
    hostile.git("push", "--quiet", "origin", "main")
    hostile.dvc("push", "--quiet")
    lineage(hostile, "link")

    tags = hostile.version_tags("3")
    assert tags["result_git_commit_id"] == commit
    assert tags["lineage_status"] == "linked"
    assert tags["git_dirty"] == "false"
    assert "dvc_exp_name" not in tags
    document = json.loads(lineage(hostile, "trace", "models:/traceable-digits/3", "--json"))
    assert commit in json.dumps(document)
    assert lineage.verify(hostile, "models:/traceable-digits/3").not_passed == {}
    assert lineage(hostile, "verify", "--all")
    status, output = lineage.ask(hostile, "audit", "excluded", "nobody", "--since", "2024-01-01")
    assert (status, "has ever held" in output) == (2, True)
    assert not (Path(hostile.environment["HOME"]) / "other.db").exists()
    assert not (Path(hostile.environment["HOME"]) / "mlflow.db").exists()
