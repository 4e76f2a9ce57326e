"""`lineage doctor`: each thing that can be wrong with a checkout, and the command that fixes it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from baked import Project
from command import Lineage


@pytest.fixture(autouse=True)
def clean(sandbox: Project) -> None:
    sandbox.git("reset", "--hard", "--quiet")
    sandbox.git("clean", "--quiet", "--force", "-d")
    (sandbox.root / ".dvc" / "config.local").unlink(missing_ok=True)


def finding(project: Project, check: str) -> dict[str, str]:
    found = json.loads(project.run("lineage", "doctor", "--json", code=None))
    return next(item for item in found if item["check"] == check)


def test_a_good_checkout_has_nothing_wrong(sandbox: Project) -> None:
    sandbox.run("lineage", "link", "--install-hook")
    output = sandbox.run("lineage", "doctor")
    assert "wrong" not in output
    assert "?" not in output


def untracked_lock(project: Project) -> None:
    project.git("rm", "--quiet", "--cached", "dvc.lock")


def untracked_code(project: Project) -> None:
    (project.root / "traceable_digits" / "model" / "new.py").write_text("")


def untracked_callback(project: Project) -> None:
    (project.root / "traceable_digits" / "notify.py").write_text("from .helper import VALUE\n")
    (project.root / "traceable_digits" / "helper.py").write_text("VALUE = 1\n")
    conf = project.root / "conf" / "callbacks" / "notify.yaml"
    conf.write_text("defaults: [mlflow, _self_]\nnotify:\n  _target_: traceable_digits.notify.Notify\n")
    project.git("add", str(conf), "traceable_digits/notify.py")
    project.compose("callbacks=notify")


def stale_params(project: Project) -> None:
    (project.root / "conf" / "train" / "default.yaml").write_text("epochs: 3\n")


def relative_remote(project: Project) -> None:
    config = project.root / ".dvc" / "config.local"
    config.write_text("['remote \"storage\"']\n    url = ../../elsewhere\n")


def remote_out_of_reach(project: Project) -> None:
    config = project.root / ".dvc" / "config.local"
    config.write_text("['remote \"storage\"']\n    url = /nowhere/at/all\n")


def temporary_remote(project: Project) -> None:
    config = project.root / ".dvc" / "config.local"
    config.write_text(f"['remote \"storage\"']\n    url = {project.root / '.dvc' / 'tmp' / 'remote'}\n")


def empty_remote(project: Project) -> None:
    config = project.root / ".dvc" / "config.local"
    config.write_text(f"['remote \"storage\"']\n    url = {project.root.parent / 'empty'}\n")


def no_remote(project: Project) -> None:
    (project.root / ".dvc" / "config").write_text("[hydra]\n    enabled = true\n")


def silent_server(project: Project) -> None:
    path = project.root / "params.yaml"
    path.write_text(path.read_text().replace("sqlite:///mlflow.db", "http://127.0.0.1:9"))


def another_package(project: Project) -> None:
    path = project.root / "requirements.lock"
    path.write_text(path.read_text().replace("\ntorch==", "\ntorch==9."))


@pytest.mark.parametrize(
    ("harm", "check", "text", "fix"),
    [
        (untracked_lock, "Git", "dvc.lock", "git add dvc.lock"),
        (untracked_code, "code", "model/new.py (under stage train)", "git add traceable_digits/model/new.py"),
        (untracked_callback, "code", "helper.py (under callbacks.notify)", "git add traceable_digits/helper.py"),
        (stale_params, "params.yaml", "conf/ was edited", "lineage compose"),
        (relative_remote, "DVC remote", "relative", "dvc remote modify --local storage url"),
        (remote_out_of_reach, "DVC remote", "out of reach", "dvc remote modify --local storage url"),
        (temporary_remote, "DVC remote", "will be deleted", "dvc remote modify --local storage url"),
        (empty_remote, "objects", "are not in", "lineage data push"),
        (no_remote, "DVC remote", "there is none", "dvc remote add --default"),
        (silent_server, "MLflow", "does not answer", "lineage compose tracking.uri="),
        (another_package, "environment", "torch is", "make setup"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(
    harm: Callable[[Project], None], check: str, text: str, fix: str, sandbox: Project
) -> None:
    harm(sandbox)
    found = finding(sandbox, check)
    assert found["state"] == "wrong"
    assert text in found["text"]
    assert found["fix"].startswith(fix)


def test_notes_of_dvc_that_are_cut_off(sandbox: Project) -> None:
    """As an end of dvc while it writes them leaves them: it never writes them again itself."""
    notes = sandbox.root / ".dvc" / "tmp" / "rwlock"
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("")
    assert "Unable to read RWLock-file" in sandbox.dvc("repro", "config", code=255)
    found = finding(sandbox, "DVC")
    assert found["state"] == "wrong"
    assert "refuses every stage" in found["text"]
    sandbox.mend_dvc()
    assert finding(sandbox, "DVC")["state"] == "right"
    sandbox.dvc("repro", "config")


def test_an_unactivated_environment_is_found(sandbox: Project) -> None:
    bare = Project(sandbox.root, Path("/nonexistent"), sandbox.environment)
    output = bare.run(str(sandbox.venv / "bin" / "lineage"), "doctor", "--json", code=1)
    found = next(item for item in json.loads(output) if item["check"] == "activation")
    assert found["state"] == "wrong"
    assert found["fix"] == f". {sandbox.venv}/bin/activate"


def test_outside_of_a_project_it_says_so(sandbox: Project, tmp_path: Path) -> None:
    outside = Project(tmp_path, sandbox.venv, sandbox.environment)
    assert "no dvc.yaml" in outside.run("lineage", "doctor", code=1)


def test_nothing_heavy_is_imported(sandbox: Project) -> None:
    code = (
        "import sys; from pathlib import Path; from lineage.doctor.examine import examine\n"
        "examine(Path.cwd())\n"
        "print(sorted({'torch', 'mlflow', 'dvc.repo', 'pandas', 'pyarrow', 'hydra'} & set(sys.modules)))"
    )
    assert sandbox.run("python", "-c", code).strip() == "[]"


def test_a_store_whose_artifacts_are_gone_is_found(sandbox: Project) -> None:
    import sqlite3

    database = sandbox.root / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE experiments (name TEXT, artifact_location TEXT)")
        connection.execute("INSERT INTO experiments VALUES ('old', 'file:///gone/away/mlartifacts')")
    try:
        found = finding(sandbox, "MLflow")
    finally:
        database.unlink()
    assert found["state"] == "wrong"
    assert "moved" in found["text"]
    shutil.rmtree(sandbox.root / "mlartifacts", ignore_errors=True)


def check(project: Project, lineage: Lineage, name: str) -> dict[str, str]:
    return next(item for item in json.loads(lineage.run(project, "doctor", "--json")[1]) if item["check"] == name)


def test_a_repository_of_another_user(project: Project, lineage: Lineage) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user")
    os.chown(project.root / ".git", 54321, 54321)
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    (wrong,) = [item for item in found if item["state"] == "wrong"]
    assert wrong["fix"] == f"git config --global --add safe.directory {project.root}"


def calls_link(project: Project, lineage: Lineage) -> bool:
    log = project.root / ".dvc" / "tmp" / "link.log"
    log.unlink(missing_ok=True)
    lock = project.root / "dvc.lock"
    lock.write_text(lock.read_text() + "\n")
    project.git("commit", "--quiet", "--all", "--message", "A blank line")
    return log.exists()


def husky(project: Project) -> Path:
    """As `npx husky init` leaves it: Git's hooks run those beside their folder."""
    folder = project.root / ".husky"
    (folder / "_").mkdir(parents=True)
    (folder / "_" / "post-commit").write_text('#!/bin/sh\ns=$(dirname "$(dirname "$0")")/post-commit\nsh -e "$s"\n')
    (folder / "_" / "post-commit").chmod(0o755)
    project.git("config", "core.hooksPath", ".husky/_")
    return folder / "post-commit"


def pre_commit(project: Project) -> Path:
    """As `pre-commit install --hook-type post-commit` leaves it: it runs the hook that was there before it."""
    hook = project.root / ".git" / "hooks" / "post-commit"
    hook.write_text('#!/bin/sh\n# File generated by pre-commit: https://pre-commit.com\n"$0.legacy"; exec true\n')
    hook.chmod(0o755)
    return hook


def of_all_repositories(project: Project) -> Path:
    folder = project.root.parent / "my hooks"
    folder.mkdir()
    (folder / "post-commit").write_text("#!/bin/sh\necho mine\n")
    project.git("config", "core.hooksPath", str(folder))
    return folder / "post-commit"


@pytest.mark.parametrize("keeper", [husky, pre_commit, of_all_repositories])
def test_hooks_of_others_are_kept_and_ours_is_called(
    keeper: Callable[[Project], Path], project: Project, lineage: Lineage
) -> None:
    hook = keeper(project)
    before = hook.read_text() if hook.exists() else ""
    found = check(project, lineage, "hook")
    assert found["state"] == "unknown"
    project.run("sh", "-c", found["fix"])
    assert check(project, lineage, "hook")["state"] == "right"
    assert hook.read_text().startswith(before)
    assert calls_link(project, lineage)


def test_a_deleted_experiment_is_found_and_comes_back(project: Project, lineage: Lineage) -> None:
    project.sql("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'traceable-digits'")
    found = check(project, lineage, "MLflow")
    assert (found["state"], "is deleted" in found["text"]) == ("wrong", True)
    project.run("sh", "-c", found["fix"])
    assert check(project, lineage, "MLflow")["state"] == "right"


def test_tables_of_another_mlflow_are_found(project: Project, lineage: Lineage) -> None:
    project.sql("UPDATE alembic_version SET version_num = ?", "0584bdc529eb")  # of MLflow 2.15
    found = check(project, lineage, "MLflow")
    assert (found["state"], "older MLflow" in found["text"]) == ("wrong", True)
    assert found["fix"] == f"mlflow db upgrade sqlite:///{project.root}/mlflow.db"
    project.sql("UPDATE alembic_version SET version_num = ?", "f" * 12)
    found = check(project, lineage, "MLflow")
    assert (found["state"], "newer MLflow" in found["text"]) == ("wrong", True)


def test_a_place_that_tools_cannot_read_is_named(project: Project, lineage: Lineage) -> None:
    for name, state, why in (("what?", "wrong", "query"), ("a:b", "wrong", "PATH"), ("é", "unknown", "--temp")):
        moved = Project(project.root.with_name(name), project.venv, project.environment)
        project.root.rename(moved.root)
        found = check(moved, lineage, "place")
        moved.root.rename(project.root)
        assert (found["state"], why in found["text"]) == (state, True)


@pytest.mark.parametrize("way", ["removed", "sparse"])
def test_without_dvc_lock_nothing_is_called_right(way: str, project: Project, lineage: Lineage) -> None:
    if way == "removed":
        (project.root / "dvc.lock").unlink()
    else:
        project.git("status")  # what Git has not looked at it leaves there
        project.git("sparse-checkout", "set", "--no-cone", "/*", "!/dvc.lock")
    found = check(project, lineage, "objects")
    assert found["state"] == "wrong"
    assert "dvc.lock is in the last commit and not here" in lineage(project, "data", "push", code=1)
    project.run(*found["fix"].split())
    assert check(project, lineage, "objects")["state"] == "right"


def test_objects_of_earlier_models_that_gc_took_are_missed(project: Project, lineage: Lineage) -> None:
    assert check(project, lineage, "objects")["state"] == "right"
    project.dvc("gc", "--workspace", "--cloud", "--force")
    found = check(project, lineage, "objects")
    assert (found["state"], found["fix"]) == ("wrong", "lineage data push --all-commits")
    assert "1 earlier models" in found["text"]
    assert "models:/traceable-digits/1" in found["text"]
