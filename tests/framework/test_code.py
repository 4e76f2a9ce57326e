from __future__ import annotations

from pathlib import Path

import pytest

from lineage.contract import package_name
from lineage.git.code import GONE, changed_code, cut, is_below, loaded_code, read_changed_code, takes_part

PACKAGE = package_name()


@pytest.mark.parametrize(
    "path",
    [
        "lineage/pipeline/runner.py",
        "lineage/compute/sagemaker/no_telemetry.yaml",
        "conf/train/default.yaml",
        "hydra_plugins/resolver.py",
        "requirements.lock",
        "sitecustomize.py",
        "torch.py",
        "odd.pth",
        "lib/odd.pth",
    ],
)
def test_what_can_take_part(path: str) -> None:
    assert takes_part(path)


@pytest.mark.parametrize(
    "path", ["README.md", "dvc.yaml", "docs/page.md", "tests/test_ids.py", "scripts/x.py", "requirements.in"]
)
def test_what_cannot(path: str) -> None:
    assert not takes_part(path)


def test_below() -> None:
    assert is_below("a/b/c.py", ["a/b"])
    assert is_below("a/b/c.py", ["a/b/c.py"])
    assert not is_below("a/bc/c.py", ["a/b"])


def test_changed_files_that_no_stage_declares_are_written_down_with_their_hashes(tmp_path: Path) -> None:
    names = [f"{PACKAGE}/a  b.py", f"{PACKAGE}/gone.py", f"{PACKAGE}/model/x.py", "README.md"]
    for name in names:
        if "gone" not in name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x\n")
    found, whole = read_changed_code(changed_code(tmp_path, names, [f"{PACKAGE}/model"]))
    assert whole
    assert list(found) == names[:2]
    assert len(found[names[0]]) == 64
    assert found[names[1]] == GONE
    assert read_changed_code("") == ({}, True)


def test_more_than_can_be_kept_is_said() -> None:
    lines = [f"{'0' * 64}  {PACKAGE}/{number}.py" for number in range(200)]
    found, whole = read_changed_code(cut(lines))
    assert not whole
    assert 0 < len(found) < 200
    assert set(found.values()) == {"0" * 64}


def test_loaded_modules_of_the_project_are_found_and_those_of_packages_are_not(root: Path) -> None:
    found = loaded_code(root, [])
    assert "lineage/git/code.py" in found
    assert not any("site-packages" in path for path in found)
    assert "lineage/git/code.py" not in loaded_code(root, ["lineage/git"])
