"""notebooks/tour.py: run as the notebook that `make notebook` makes of it, in a project with two models."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from baked import TEMPLATE, Project
from validators import with_notebooks

PLOTS = 5
SCRIPT = Path("notebooks", "tour.py")


@pytest.fixture(scope="module")
def cells(linked: Project, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The cells of the notebook after it has run, by the commands of the Makefile."""
    project = linked.copy(tmp_path_factory.mktemp("notebook"))
    tools = with_notebooks().parent
    lines = (project.root / "Makefile").read_text().partition("\nnotebook:")[2].split("\n\n")[0].splitlines()[1:]
    # there the project is installed in the same environment
    variables = {**project.variables, "PYTHONPATH": str(project.root)}
    for line in lines:
        command = line.strip().replace("$(BIN)", str(tools))
        done = subprocess.run(
            command.split(), cwd=project.root, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert project.git("status", "--porcelain") == ""
    return list(json.loads((project.root / SCRIPT.with_suffix(".ipynb")).read_text())["cells"])


def outputs(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [output for cell in cells for output in cell.get("outputs", [])]


def test_every_cell_ran_and_none_complained(cells: list[dict[str, Any]]) -> None:
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    assert [output["text"] for output in outputs(cells) if output.get("name") == "stderr"] == []


def test_it_shows_plots_and_tables(cells: list[dict[str, Any]]) -> None:
    shown = [output.get("data", {}) for output in outputs(cells)]
    assert sum("image/png" in data for data in shown) == PLOTS
    assert sum("text/html" in data for data in shown) >= 5


def test_its_answers_are_those_of_the_project(cells: list[dict[str, Any]], linked: Project) -> None:
    printed = "".join(text for output in outputs(cells) if output.get("name") == "stdout" for text in output["text"])
    shown = "".join(text for output in outputs(cells) for text in output.get("data", {}).get("text/html", []))
    assert printed.startswith("1797 records of 320 subjects\nPASS\nCOMPLETE ")
    assert "FAILED" in printed  # the models are of today, a year later than the moment that was asked for
    for word in (linked.git("rev-parse", "HEAD"), "models:/traceable-digits/1", "different"):
        assert word in shown


def test_git_keeps_the_script_and_not_what_it_shows(linked: Project) -> None:
    assert linked.git("check-ignore", str(SCRIPT.with_suffix(".ipynb"))) == str(SCRIPT.with_suffix(".ipynb"))
    assert linked.git("ls-files", "notebooks") == str(SCRIPT)
    assert not any((TEMPLATE / "{{cookiecutter.project_slug}}").rglob("*.ipynb"))
