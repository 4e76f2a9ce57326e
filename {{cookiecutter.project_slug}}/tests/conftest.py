"""What the tests share: the package under one name, and the project's root and settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
[PACKAGE] = [file.parent for file in ROOT.glob("*/settings.py")]


def _import_as_project() -> None:
    spec = spec_from_file_location("project", PACKAGE / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["project"] = module
    spec.loader.exec_module(module)


# The package has the name that its project was given. Tests know it as `project`, so that they are right under any
# name. Done while this file is imported, because pytest imports it before the test modules, whose first lines need it.
_import_as_project()

hypothesis.settings.register_profile("project", deadline=None, max_examples=50)  # a deadline fails on a busy machine
hypothesis.settings.load_profile("project")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def package() -> str:
    """The true name of the package, for other processes: `project` is known in this one only."""
    return PACKAGE.name


@pytest.fixture
def params() -> dict[str, Any]:
    """The content of params.yaml, to change at will."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="session")
def copy_to() -> Callable[[Path], Path]:
    """Copies the project's code and configuration into a folder that is not there yet."""

    def copy_project(target: Path) -> Path:
        target.mkdir()
        for name in (PACKAGE.name, "lineage", "conf", "hydra_plugins"):
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "params.yaml", "pyproject.toml"):
            shutil.copyfile(ROOT / name, target / name)
        return target

    return copy_project


@pytest.fixture
def copy(copy_to: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A copy of the project's code and configuration, to change at will."""
    return copy_to(tmp_path / "copy")


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What several.py found, by the number of processes."""
    from project.settings import Train

    document: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    quick = {"epochs": 5, "batch_size": 16, "lr": 0.05, "seed": 1, "threads": 1, "device": "cpu", "flip": True}
    settings, folder = Train.model_validate(document["train"] | quick), tmp_path_factory.mktemp("several")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, str(ROOT / "tests" / "several.py"), settings.model_dump_json(), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found
