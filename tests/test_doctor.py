"""`lineage doctor`: each thing that can be wrong with a checkout, and the command that mends it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from baked import Project


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
    ("harm", "check", "text", "mend"),
    [
        (untracked_lock, "Git", "dvc.lock", "git add dvc.lock"),
        (untracked_code, "code", "model/new.py (under stage train)", "git add traceable_digits/model/new.py"),
        (stale_params, "params.yaml", "conf/ was edited", "lineage compose"),
        (relative_remote, "DVC remote", "relative", "dvc remote modify --local storage url"),
        (remote_out_of_reach, "DVC remote", "out of reach", "dvc remote modify --local storage url"),
        (temporary_remote, "DVC remote", "will be deleted", "dvc remote modify --local storage url"),
        (empty_remote, "objects", "are not in", "dvc push"),
        (no_remote, "DVC remote", "there is none", "dvc remote add --default"),
        (silent_server, "MLflow", "does not answer", "lineage compose tracking.uri="),
        (another_package, "environment", "torch is", "make setup"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(
    harm: Callable[[Project], None], check: str, text: str, mend: str, sandbox: Project
) -> None:
    harm(sandbox)
    found = finding(sandbox, check)
    assert found["state"] == "wrong"
    assert text in found["text"]
    assert found["mend"].startswith(mend)


def test_an_unactivated_environment_is_found(sandbox: Project) -> None:
    bare = Project(sandbox.root, Path("/nonexistent"), sandbox.environment)
    output = bare.run(str(sandbox.venv / "bin" / "lineage"), "doctor", "--json", code=1)
    found = next(item for item in json.loads(output) if item["check"] == "activation")
    assert found["state"] == "wrong"
    assert found["mend"] == f". {sandbox.venv}/bin/activate"


def test_outside_of_a_project_it_says_so(sandbox: Project, tmp_path: Path) -> None:
    outside = Project(tmp_path, sandbox.venv, sandbox.environment)
    assert "no dvc.yaml" in outside.run("lineage", "doctor", code=1)


def test_nothing_heavy_is_imported(sandbox: Project) -> None:
    code = (
        "import sys; from pathlib import Path; from traceable_digits.doctor import examine\n"
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
