"""One stage of a project, run as dvc runs it: for tests of what it does with its input, with no pipeline around."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from baked import Project, bake, remove_hooks
from command import Lineage

PACKAGE = "traceable_digits"
Compose = Callable[..., None]


@dataclass
class Workshop:
    """A project that nobody tracks runs of, with the settings of the moment."""

    project: Project
    lineage: Lineage

    @property
    def root(self) -> Path:
        return self.project.root

    def compose(self, *overrides: str) -> None:
        """Makes these the settings, and the outputs of earlier ones gone."""
        self.set(*overrides)
        for path in (self.root / "data").iterdir():
            if path.name in ("raw", "processed", "listing.json"):
                self.project.run("rm", "-r", str(path))

    def impose(self, *overrides: str) -> None:
        """Makes these the settings unchecked, as `dvc exp run -S` does."""
        code = "import sys; from dvc.utils.hydra import compose_and_dump as compose\n"
        code += "compose('params.yaml', sys.argv[1], None, 'config', '.', sys.argv[2:])"
        self.project.run("python", "-c", code, str(self.root / "conf"), "callbacks=none", *overrides)

    def set(self, *overrides: str) -> None:
        """Makes these the settings, as `dvc repro` finds them once the stage config has passed."""
        self.lineage(self.project, "compose", "callbacks=none", *overrides)
        for name in ("params", "absent"):
            (self.root / ".checks" / name).touch()  # dvc removes what config writes before it runs

    def run(self, stage: str, code: int | None = 0, **environment: str) -> str:
        """What a stage says."""
        place = Project(self.root, self.project.venv, {**self.project.environment, **environment})
        return place.run("python", "-I", "scripts/stage.py", f"{PACKAGE}.stages.{stage}", code=code)

    def refusal(self, stage: str, **environment: str) -> str:
        """The sentence with which a stage refuses, after a look at what it has left behind: nothing."""
        before = sorted(self.outputs())
        said = self.run(stage, code=1, **environment)
        assert "Traceback" not in said, said
        assert sorted(self.outputs()) == before
        (sentence,) = (line for line in said.splitlines() if line.startswith(f"{stage}: "))
        assert len(sentence) < 700
        return sentence.removeprefix(f"{stage}: ")

    def outputs(self) -> Iterator[str]:
        """What lies below data/, half outputs too."""
        return (path.relative_to(self.root).as_posix() for path in (self.root / "data").rglob("*"))

    def records(self) -> list[dict[str, Any]]:
        """The raw records."""
        rows: list[dict[str, Any]] = pq.read_table(self.root / "data" / "raw" / "records.parquet").to_pylist()
        return rows

    def manifest(self) -> list[dict[str, Any]]:
        """The records of the dataset version."""
        rows: list[dict[str, Any]] = pq.read_table(self.root / "data" / "processed" / "manifest.parquet").to_pylist()
        return rows


@pytest.fixture(scope="module")
def workshop(installed: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    root = bake(tmp_path_factory.mktemp("workshop"))
    remove_hooks(root)
    return Workshop(Project(root, installed.venv, installed.environment), lineage)
