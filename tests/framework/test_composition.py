from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

from lineage.chain.composition import is_fresh


@pytest.fixture(scope="module")
def composed(copy_to: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project whose params.yaml was composed without overrides. Tests copy what they change."""
    target = copy_to(tmp_path_factory.mktemp("composed") / "project")
    assert compose(target).returncode == 0
    return target


@pytest.fixture
def project(composed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(composed, tmp_path / "project"))


def compose(project: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    # in a process of its own: Hydra takes the plugins of one project a process
    return subprocess.run(
        [sys.executable, "-m", "lineage.cli", "compose", *overrides],
        cwd=project,
        env={**os.environ, "SECRET_OF_MINE": "hunter2"},  # pragma: allowlist secret
        capture_output=True,
        text=True,
        check=False,
    )


def digest(project: Path) -> str:
    spec = spec_from_file_location("composition", project / "hydra_plugins" / "composition.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    value: str = module.conf_digest()
    return value


def params(project: Path) -> str:
    return (project / "params.yaml").read_text(encoding="utf-8")


def test_composing_again_changes_no_byte(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    done = compose(project)
    assert done.returncode == 0, done.stderr
    assert "values changed: 0" in done.stdout
    assert (project / "params.yaml").read_bytes() == before


def test_composing_reports_what_changed_and_writes_it(project: Path) -> None:
    before = yaml.safe_load(params(project))
    done = compose(project, "train.lr=0.125", "data.fraction=0.375")
    assert done.returncode == 0, done.stderr
    assert f"train.lr: {before['train']['lr']} -> 0.125" in done.stdout
    assert f"data.fraction: {before['data']['fraction']} -> 0.375" in done.stdout
    assert "values changed: 2" in done.stdout
    before["train"]["lr"], before["data"]["fraction"] = 0.125, 0.375
    assert yaml.safe_load(params(project)) == before


def test_an_edit_of_conf_is_composed_with_the_new_digest(project: Path) -> None:
    with (project / "conf" / "train" / "default.yaml").open("a", encoding="utf-8") as file:
        file.write("\n# a remark\n")
    assert not is_fresh(project)
    done = compose(project)
    assert done.returncode == 0, done.stderr
    assert "values changed: 0" in done.stdout
    assert is_fresh(project)
    assert yaml.safe_load(params(project))["conf_digest"] == digest(project)


@pytest.mark.parametrize(
    ("value", "why"), [("${oc.env:SECRET_OF_MINE,none}", "your environment"), ("${now:%Y-%m-%d}", "rerun the pipeline")]
)
def test_the_environment_and_the_time_are_refused_in_an_override(project: Path, value: str, why: str) -> None:
    assert_refused(project, compose(project, f"tracking.experiment={value}"), why)


@pytest.mark.parametrize(
    ("value", "why"), [("${oc.env:SECRET_OF_MINE}", "your environment"), ("${now:%H}", "rerun the pipeline")]
)
def test_the_environment_and_the_time_are_refused_in_conf(project: Path, value: str, why: str) -> None:
    with (project / "conf" / "project.yaml").open("w", encoding="utf-8") as file:
        file.write(f"project_id: {value}\n")
    assert_refused(project, compose(project), why)


def assert_refused(project: Path, done: subprocess.CompletedProcess[str], why: str) -> None:
    assert done.returncode == 1
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr + params(project)
    assert [path.name for path in project.glob(".params*")] == []


def test_the_digest_changes_with_an_edit(copy: Path) -> None:
    before = digest(copy)
    path = copy / "conf" / "train" / "default.yaml"
    path.write_bytes(path.read_bytes() + b"# a remark\n")
    assert digest(copy) != before


def test_the_digest_changes_with_a_name_and_with_a_new_file(copy: Path) -> None:
    before = digest(copy)
    path = copy / "conf" / "train" / "other.yaml"
    path.write_text("")
    added = digest(copy)
    path.rename(path.with_name("another.yaml"))
    assert len({before, added, digest(copy)}) == 3


def test_the_digest_does_not_change_with_the_line_ends(copy: Path) -> None:
    before = digest(copy)
    for path in (copy / "conf").rglob("*.yaml"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert digest(copy) == before


def test_the_digest_does_not_change_with_what_is_no_configuration(copy: Path) -> None:
    before = digest(copy)
    (copy / "conf" / "notes.txt").write_text("notes")
    assert digest(copy) == before


def test_params_are_stale_after_an_edit_and_fresh_after_an_override(project: Path) -> None:
    assert is_fresh(project)
    values = yaml.safe_load(params(project))
    values["train"]["seed"] += 1
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert is_fresh(project)
    with (project / "conf" / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("# a remark\n")
    assert not is_fresh(project)
