"""What baking gives, before anything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from baked import TEMPLATE, Project, bake


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory, identity: dict[str, str]) -> Project:
    root = bake(tmp_path_factory.mktemp("baked"))
    return Project(root, Path(sys.prefix), identity)


def test_it_is_a_clean_repository_on_main_with_one_commit(baked: Project) -> None:
    assert baked.git("branch", "--show-current") == "main"
    assert baked.git("rev-list", "--count", "HEAD") == "1"
    assert baked.git("status", "--porcelain", "--ignored") == ""


def test_every_key_in_conf_has_a_comment(baked: Project) -> None:
    for path in (baked.root / "conf").rglob("*.yaml"):
        lines = path.read_text().splitlines()
        for above, line in zip(["", *lines], lines, strict=False):
            key, colon, value = line.partition(":")
            is_group = not value.strip()  # a key that only holds others is explained by them
            inherited = path.stem == "debug" or (path.parent.name == "data" and key.strip() in {"train", "val", "test"})
            if colon and key.strip().isidentifier() and not is_group and not inherited:
                assert "#" in line or above.strip().startswith("#"), f"{path.name}: {line}"


def test_the_templates_own_sources_are_clean() -> None:
    subprocess.run(["make", "lint"], cwd=TEMPLATE, check=True)


def test_each_project_has_an_id_of_its_own(baked: Project, tmp_path: Path) -> None:
    other = yaml.safe_load((bake(tmp_path) / "params.yaml").read_text())
    assert len(baked.params["project_id"]) == 32
    assert other["project_id"] != baked.params["project_id"]


def test_the_local_remote_is_absolute_and_beside_the_project(baked: Project) -> None:
    config = (baked.root / ".dvc" / "config").read_text()
    assert f"url = {baked.root.parent / 'traceable-digits-dvc-remote'}" in config


def test_it_bakes_without_a_git_identity(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    environment = {"GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}
    command = [str(Path(sys.executable).parent / "cookiecutter"), "--no-input", str(TEMPLATE)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "EMAIL"))}
    subprocess.run(command, cwd=tmp_path, env={**clean, **environment, "HOME": str(home)}, check=True)
    log = subprocess.run(
        ["git", "log", "--oneline"], cwd=tmp_path / "traceable-digits", capture_output=True, check=True
    )
    assert len(log.stdout.splitlines()) == 1


def test_inside_a_repository_it_makes_its_own_and_leaves_the_other_alone(tmp_path: Path) -> None:
    def outer(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    outer("init", "--quiet")
    (tmp_path / "file").write_text("outer")
    outer("add", "file")
    before = outer("status", "--porcelain", "--untracked-files=no"), (tmp_path / ".git" / "index").read_bytes()
    root = bake(tmp_path)
    assert (root / ".git").is_dir()
    assert (
        outer("status", "--porcelain", "--untracked-files=no"),
        (tmp_path / ".git" / "index").read_bytes(),
    ) == before
