"""`lineage link --install-hook`, which `make setup` calls: it replaces its own earlier script and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from baked import Project, bake
from command import Lineage

MINE = "#!/bin/sh\nlineage link --quiet  # and what I added\n"


@pytest.fixture(scope="module")
def fresh(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(bake(tmp_path_factory.mktemp("hook")), installed.venv, installed.environment)


@pytest.fixture
def hook(fresh: Project) -> Iterator[Path]:
    """Where Git looks for it; empty, as is the other one."""
    path = fresh.root / ".git" / "hooks" / "post-commit"
    both = (path, path.with_name("post-merge"))
    for place in both:
        place.unlink(missing_ok=True)
    yield path
    for place in both:
        place.unlink(missing_ok=True)


def script(project: Project) -> bytes:
    return (project.root / "scripts" / "post-commit").read_bytes()


def test_it_is_installed_once_and_brought_up_to_date(fresh: Project, hook: Path, lineage: Lineage) -> None:
    assert lineage(fresh, "link", "--install-hook") == ""
    assert hook.read_bytes() == hook.with_name("post-merge").read_bytes() == script(fresh)
    earlier = script(fresh)
    with (fresh.root / "scripts" / "post-commit").open("a") as file:
        file.write("# newer\n")
    assert lineage(fresh, "link", "--install-hook") == ""  # what stood there is what the last commit has
    assert hook.read_bytes() == script(fresh) != earlier
    fresh.git("checkout", "--", "scripts/post-commit")


def test_a_hook_of_ones_own_that_calls_it_is_kept(fresh: Project, hook: Path, lineage: Lineage) -> None:
    for text in (MINE, script(fresh).decode() + "echo done\n"):
        hook.write_text(text)
        hook.chmod(0o755)
        assert "is another hook, or this one edited, and was left alone" in lineage(fresh, "link", "--install-hook")
        assert hook.read_text() == text


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_not_written_through(
    there: bool, fresh: Project, hook: Path, lineage: Lineage, tmp_path: Path
) -> None:
    target = tmp_path / "dotfiles"
    if there:
        target.write_bytes(script(fresh) + b"# older\n")
    hook.symlink_to(target)
    assert "left alone" in lineage(fresh, "link", "--install-hook")
    assert hook.is_symlink()
    assert target.exists() == there


def test_a_link_to_the_script_itself_is_the_hook(fresh: Project, hook: Path, lineage: Lineage) -> None:
    hook.symlink_to(fresh.root / "scripts" / "post-commit")
    assert lineage(fresh, "link", "--install-hook") == ""
    assert hook.is_symlink()


@pytest.mark.parametrize("folder", [".husky/_", "{home}/hooks"])
def test_a_folder_of_hooks_elsewhere_is_left_alone(
    folder: str, fresh: Project, hook: Path, lineage: Lineage, tmp_path: Path
) -> None:
    place = fresh.root / folder.format(home=tmp_path)
    place.mkdir(parents=True)
    (place / "post-commit").write_text(MINE)
    fresh.git("config", "core.hooksPath", folder.format(home=tmp_path))
    try:
        said = lineage(fresh, "link", "--install-hook")
    finally:
        fresh.git("config", "--unset", "core.hooksPath")
    assert f"Git looks for hooks in {place}, outside of this repository" in said
    assert [path.name for path in place.iterdir()] == ["post-commit"]
    assert (place / "post-commit").read_text() == MINE
    assert not hook.exists()


def test_a_folder_of_hooks_that_is_a_link_is_left_alone(
    fresh: Project, hook: Path, lineage: Lineage, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    hook.parent.rename(aside)
    shared = tmp_path / "shared"
    shared.mkdir()
    hook.parent.symlink_to(shared)
    try:
        assert "outside of this repository" in lineage(fresh, "link", "--install-hook")
        assert list(shared.iterdir()) == []
    finally:
        hook.parent.unlink()
        aside.rename(hook.parent)


def test_outside_of_git_there_is_none_to_install(installed: Project, lineage: Lineage, tmp_path: Path) -> None:
    project = Project(bake(tmp_path), installed.venv, installed.environment)
    (project.root / ".git").rename(tmp_path / "git")
    assert "This is no Git repository" in lineage(project, "link", "--install-hook")
