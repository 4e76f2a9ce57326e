"""The framework where it lies, in the template, and a small project around it: `example/`.

The project that the template makes has tests of its own; here the framework shall need nothing of it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

import lineage.contract

ROOT = Path(lineage.contract.__file__).resolve().parents[1]
EXAMPLE = Path(__file__).parent / "example"
# The framework knows its project by the folder that it lies in. Here that is the template, whose pyproject.toml names
# no package yet. Done while this file is imported: test modules import what asks for the package.
lineage.contract.ROOT = EXAMPLE

# of conf/ that the framework has the settings of
GROUPS = ("data", "privacy", "tracking", "promotion", "serving", "compute", "callbacks")
ANSWERS = {"package_name": "scans", "project_slug": "example", "mlflow_tracking_uri": "sqlite:///mlflow.db"}

hypothesis.settings.register_profile("framework", deadline=None, max_examples=50)  # a deadline fails on a busy machine
hypothesis.settings.load_profile("framework")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No warning goes by unseen, as in the tests of a project."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("error", "ignore::DeprecationWarning"))


@pytest.fixture(autouse=True)
def _leave_no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that tests start would write it into the template, and so into every project baked later."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def filled(path: Path) -> str:
    """A file of the template with answers in the place of questions."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"\{\{ cookiecutter\.(\w+) \}\}", lambda question: ANSWERS[question[1]], text)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that the framework lies in."""
    return ROOT


@pytest.fixture(scope="session")
def package() -> str:
    """The package of the example."""
    return lineage.contract.package_name()


@pytest.fixture
def params(example_params: str) -> dict[str, Any]:
    """The content of the example's params.yaml, to change at will."""
    document: dict[str, Any] = yaml.safe_load(example_params)
    return document


@pytest.fixture(scope="session")
def example_params() -> str:
    """The example's params.yaml: the framework's settings as in the template, and groups of its own."""
    template = yaml.safe_load(filled(ROOT / "params.yaml"))
    own = {path.parent.name: yaml.safe_load(path.read_text()) for path in EXAMPLE.glob("conf/*/default.yaml")}
    named = yaml.safe_load((EXAMPLE / "conf" / "project.yaml").read_text())
    document = {key: template[key] for key in ("conf_digest", *GROUPS)} | own | named
    return yaml.safe_dump(document, sort_keys=False)


@pytest.fixture(scope="session")
def copy_to(example_params: str) -> Callable[[Path], Path]:
    """Makes the example a whole project, the framework in it, in a folder that is not there yet."""

    def copy_example(target: Path) -> Path:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(EXAMPLE, target, ignore=ignore)
        for name in ("lineage", "hydra_plugins"):
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        for path in [path for group in GROUPS for path in (ROOT / "conf" / group).glob("*.yaml")]:
            (target / "conf" / path.parent.name).mkdir(exist_ok=True)
            (target / "conf" / path.parent.name / path.name).write_text(filled(path), encoding="utf-8")
        (target / "params.yaml").write_text(example_params, encoding="utf-8")
        return target

    return copy_example


@pytest.fixture
def copy(copy_to: Callable[[Path], Path], tmp_path: Path) -> Path:
    """The example as a whole project, to change at will."""
    return copy_to(tmp_path / "copy")
