"""restore: exact bytes or none."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from baked import Project, bake
from command import Lineage

CANDIDATE = "models:/traceable-digits@candidate"


def test_restore_gives_the_same_hashes_with_an_empty_cache(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*") if path.is_file()}
    target = tmp_path / "restored"
    lineage(project, "restore", "models:/traceable-digits/1", "--to", str(target))
    restored = Project(target, project.venv, project.environment)
    assert restored.git("rev-parse", "HEAD") == project.commit_of("First model")
    assert restored.git("status", "--porcelain") == ""
    assert restored.dvc("status").strip() == "Data and pipelines are up to date."
    after = {path: path.stat().st_mtime_ns for path in project.root.rglob("*") if path.is_file()}
    touched = {path for path in after if before.get(path) != after[path]}
    assert all(".git" in path.parts or ".dvc" in path.parts for path in touched)
    assert set(before) <= set(after)


def test_restore_brings_data_alone_from_a_bare_hash(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    dataset = project.out("preprocess", "data/processed")
    empty = Project(
        bake(tmp_path / "other"), project.venv, project.environment
    )  # its history knows nothing of the hash
    (empty.root / ".dvc" / "config.local").write_text((project.root / ".dvc" / "config.local").read_text())
    lineage(empty, "restore", dataset, "--to", str(tmp_path / "bare"))
    lineage(project, "restore", CANDIDATE, "--data-only", "--to", str(tmp_path / "data"))
    for folder in (tmp_path / "bare", tmp_path / "data" / "data" / "processed"):
        assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "manifest.parquet", "shards"]
    assert not (tmp_path / "data" / "dvc.yaml").exists()
    lineage(project, "restore", dataset, "--as", "image_folder", "--to", str(tmp_path / "images"))
    assert len(list((tmp_path / "images").rglob("*.png"))) == 1797


def test_restore_finds_a_corrupted_cache_and_takes_the_remote(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    weights = project.out("train", "models/model.safetensors")
    project.cached(weights).chmod(0o644)
    project.cached(weights).write_bytes(b"not the weights")
    lineage(project, "restore", CANDIDATE, "--to", str(tmp_path / "restored"))
    project.object(weights).chmod(0o644)
    project.object(weights).write_bytes(b"not the weights either")
    status, output = lineage.ask(project, "restore", CANDIDATE, "--to", str(tmp_path / "wrong"))
    assert status == 1
    assert weights in output
    assert not (tmp_path / "wrong").exists()
    assert list(tmp_path.glob(".*.partial")) == []


def test_restore_refuses_a_folder_that_holds_something(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    assert "is there already" in lineage(linked, "restore", CANDIDATE, "--to", str(tmp_path), code=1)
    assert (tmp_path / "mine").read_text() == "keep me"


def test_a_project_in_a_subdirectory_of_a_larger_repository(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    outer = Project(tmp_path / "outer", project.venv, project.environment)
    inner = Project(outer.root / "digits", project.venv, project.environment)
    commits = project.git("rev-list", "--reverse", "HEAD").splitlines()
    outer.root.mkdir()
    outer.git("init", "--quiet")
    outer.git("fetch", "--quiet", str(project.root), "HEAD")
    parent: list[str] = []
    for commit in commits:  # the same history, a folder further down
        tree = outer.git("rev-parse", f"{commit}^{{tree}}")
        nested = subprocess.run(
            ["git", "mktree"], cwd=outer.root, input=f"040000 tree {tree}\tdigits\n", text=True, capture_output=True
        ).stdout.strip()
        parent = ["-p", outer.git("commit-tree", nested, *parent, "-m", "Nested")]
    outer.git("reset", "--quiet", "--soft", parent[1])
    shutil.copytree(project.root, inner.root, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    outer.git("reset", "--quiet")
    inner.sql("UPDATE experiments SET artifact_location = ?", f"file://{inner.root}/mlartifacts")
    lineage(inner, "link")
    proof = lineage.verify(inner, CANDIDATE)
    assert (proof.status, proof.not_passed) == (0, {})
    lineage(inner, "restore", CANDIDATE, "--to", str(tmp_path / "restored"))
    restored = Project(tmp_path / "restored" / "digits", project.venv, project.environment)
    assert restored.dvc("status").strip() == "Data and pipelines are up to date."


def empty_clone(project: Project, folder: Path) -> Project:
    clone = project.clone_without_data(folder)
    shutil.copyfile(project.root / ".dvc" / "config.local", folder / ".dvc" / "config.local")
    return clone


def test_data_pull_brings_a_fresh_clone_what_dvc_would_and_nothing_damaged(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    weights = project.out("train", "models/model.safetensors")
    clone = empty_clone(project, tmp_path / "clone")
    right = project.object(weights).read_bytes()
    project.object(weights).chmod(0o644)
    project.object(weights).write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    status, output = lineage.ask(clone, "data", "pull")
    assert status == 1
    assert "lacking: models/model.safetensors" in output
    assert "holds other bytes" in output
    assert not clone.cached(weights).exists()
    assert not (clone.root / "models" / "model.safetensors").exists()
    assert (clone.root / "data" / "processed" / "manifest.parquet").exists()

    project.object(weights).write_bytes(right)
    done = json.loads(lineage(clone, "data", "pull", "--json"))
    assert (done["brought"], done["lacking"]) == (1, [])
    assert (clone.root / "models" / "model.safetensors").read_bytes() == right
    assert clone.dvc("status").strip() == "Data and pipelines are up to date."
    assert json.loads(lineage(clone, "data", "pull", "--json")) == {**done, "brought": 0}
    assert clone.cached(weights).stat().st_mode & 0o222 == 0  # as DVC leaves its objects


def test_data_pull_leaves_alone_what_is_nowhere_else(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    clone = empty_clone(project, tmp_path / "clone")
    mine = clone.root / "models" / "model.safetensors"
    mine.write_bytes(b"trained here, and in no cache")
    status, output = lineage.ask(clone, "data", "pull")
    assert status == 1
    assert "`dvc checkout` does not put it in place" in output
    assert mine.read_bytes() == b"trained here, and in no cache"
