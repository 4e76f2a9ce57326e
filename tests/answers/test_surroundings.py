"""What a bake finds on the machine: a folder that is there already, somebody's hooks, a Git repository around it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from baked import TEMPLATE

Run = Callable[..., str]
SLUG = "traceable-digits"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".gitconfig").write_text("[user]\n\tname = Ann\n\temail = ann@example.org\n")
    return folder


@pytest.fixture
def run(home: Path) -> Run:
    """Runs a command with that home."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "XDG_"))}
    environment = {**clean, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}

    def run(*command: str, folder: Path, code: int = 0) -> str:
        options = {"capture_output": True, "text": True, "check": False}
        done = subprocess.run(command, cwd=folder, env=environment, **options)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def bake(run: Run, tmp_path: Path) -> Run:
    """Bakes with cookiecutter's own command, below tmp_path/work."""
    (tmp_path / "work").mkdir()
    command = str(Path(sys.executable).parent / "cookiecutter")

    def bake(*options: str, code: int = 0) -> str:
        return run(command, "--no-input", str(TEMPLATE), *options, folder=tmp_path / "work", code=code)

    return bake


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_that_is_there_is_not_baked_over(bake: Run, run: Run, tmp_path: Path) -> None:
    bake()
    root = tmp_path / "work" / SLUG
    run("git", "checkout", "--quiet", "-b", "feature", folder=root)
    (root / "wip.txt").write_text("wip")
    (root / "dvc.lock").write_text("schema: '2.0'\nstages: {x: {cmd: y}}\n")
    before = contents(root)
    for options in (["-f"], ["-f", "-s"], ["-s"]):
        said = bake(*options, code=1)
        assert "already" in said
        assert "-f" not in options or "`cruft update` brings a newer template" in said
        assert contents(root) == before
    # with the answers of the last time, so that it asks nothing
    command = str(Path(sys.executable).parent / "cookiecutter")
    run(command, str(TEMPLATE), "-f", "--replay", folder=root.parent, code=1)
    assert contents(root) == before


def test_a_folder_with_something_in_it_is_not_baked_into_and_an_empty_one_is(bake: Run, tmp_path: Path) -> None:
    root = tmp_path / "work" / SLUG
    root.mkdir()
    (root / "README.md").write_text("mine")
    assert f"{str(root)!r} is there already and holds README.md: nothing was changed." in bake("-f", code=1)
    assert contents(root) == {"README.md": b"mine"}
    (root / "README.md").unlink()
    (root / ".DS_Store").touch()
    bake("-f")
    assert (root / "dvc.yaml").is_file()


def test_the_hooks_of_a_git_template_are_left_alone(bake: Run, run: Run, home: Path, tmp_path: Path) -> None:
    mine = home / "dotfiles" / "post-commit"
    mine.parent.mkdir()
    mine.write_text(f"#!/bin/sh\ntouch '{home}/ran'\n")
    mine.chmod(0o755)
    hooks = home / "template" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-commit").symlink_to(mine)
    run("git", "config", "--global", "init.templateDir", str(hooks.parent), folder=home)
    before = contents(home)

    said = bake()
    root = tmp_path / "work" / SLUG
    hook = root / ".git" / "hooks" / "post-commit"
    assert f"{hook} was there already, from your Git template, and was left alone." in said
    assert hook.readlink() == mine
    # a link to nothing, a file, and a folder of hooks that is a link
    (hooks / "post-commit").unlink()
    (hooks / "post-commit").symlink_to(home / "not there")
    assert "was left alone" in bake("project_slug=second")
    (hooks / "post-commit").unlink()
    (hooks / "post-commit").write_text("mine")
    assert "was left alone" in bake("project_slug=third")
    assert (tmp_path / "work" / "third" / ".git" / "hooks" / "post-commit").read_text() == "mine"
    (hooks / "post-commit").unlink()
    hooks.rmdir()
    hooks.symlink_to(mine.parent)
    assert f"Git looks for hooks in {tmp_path}/work/fourth/.git/hooks, outside" in bake("project_slug=fourth")
    run("git", "config", "--global", "core.hooksPath", str(mine.parent), folder=home)
    assert f"Git looks for hooks in {mine.parent}, outside" in bake("project_slug=fifth")

    after = {name: data for name, data in contents(home).items() if name != ".gitconfig"}
    assert {name: data for name, data in before.items() if name in after} == {
        name: data for name, data in after.items() if name in before
    }
    assert not (home / "not there").exists()
    assert not (home / "ran").exists()
    assert mine.read_text().endswith("/ran'\n")


def test_without_any_the_hook_is_ours(bake: Run, tmp_path: Path) -> None:
    assert "Note:" not in bake()
    root = tmp_path / "work" / SLUG
    for name in ("post-commit", "post-merge"):
        hook = root / ".git" / "hooks" / name
        assert hook.read_bytes() == (root / "scripts" / "post-commit").read_bytes()
        assert hook.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("kept_out", ["by nobody", "by the outer repository"])
def test_a_repository_around_does_not_take_in_the_data(kept_out: str, bake: Run, run: Run, tmp_path: Path) -> None:
    outer = tmp_path / "work"
    run("git", "init", "--quiet", folder=outer)
    remote = outer / f"{SLUG}-dvc-remote"
    if kept_out == "by the outer repository":
        (outer / ".gitignore").write_text("*-dvc-remote/\n")
        assert "Note:" not in bake()
        assert not remote.exists()
    else:
        said = bake()
        assert f"The DVC remote {remote} lies in the Git repository {outer}. Its .gitignore keeps" in said
    image = remote / "files" / "md5" / "ab" / "cdef"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"somebody's scan")
    (outer / SLUG / ".git").rename(tmp_path / "git")  # as who wants one repository does it
    run("git", "add", "--all", folder=outer)
    staged = run("git", "ls-files", folder=outer)
    assert f"{SLUG}/dvc.yaml" in staged
    assert "dvc-remote" not in staged


@pytest.mark.parametrize("name", ["what?", "50%41", f"a{os.pathsep}b"])
def test_a_path_that_would_be_read_as_another_is_refused(name: str, bake: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / name).mkdir()
    assert "bake where no folder has" in bake("-o", name, code=1)
    assert list((tmp_path / "work" / name).iterdir()) == []


@pytest.mark.parametrize(("name", "said"), [("Füße", True), ("100% done", False)])
def test_where_dvc_runs_no_experiments_aside_is_said(name: str, said: bool, bake: Run, tmp_path: Path) -> None:
    assert ("`dvc exp run --temp`" in bake("-o", name)) == said
    assert (tmp_path / "work" / name / SLUG / "dvc.yaml").is_file()


@pytest.mark.parametrize(("uri", "said"), [("sqlite:///../runs/all.db", True), ("sqlite:///../kept/all.db", False)])
def test_a_store_that_a_repository_around_would_take_in_is_said(
    uri: str, said: bool, bake: Run, run: Run, tmp_path: Path
) -> None:
    outer = tmp_path / "work"
    run("git", "init", "--quiet", folder=outer)
    (outer / ".gitignore").write_text("/kept/\n*-dvc-remote/\n")
    words = f"The MLflow store {outer}/{uri.removeprefix('sqlite:///../')} lies in the Git repository {outer}"
    assert (words in bake(f"mlflow_tracking_uri={uri}")) == said


def test_a_remote_that_an_ignore_file_of_its_own_does_not_keep_out_is_said(bake: Run, run: Run, tmp_path: Path) -> None:
    outer = tmp_path / "work"
    run("git", "init", "--quiet", folder=outer)
    remote = outer / f"{SLUG}-dvc-remote"
    remote.mkdir()
    (remote / ".gitignore").write_text("*.tmp\n")
    assert "where `git add` would take in every image. Have Git ignore it, or move it" in bake()
    assert (remote / ".gitignore").read_text() == "*.tmp\n"
