"""The standards' own validators, and what signs: each in an environment of its own."""

from __future__ import annotations

from pathlib import Path

from environments import python_with

HERE = Path(__file__).resolve().parents[1]
VALIDATORS = HERE / "requirements-validators.lock"
PROJECT = HERE / "{{cookiecutter.project_slug}}"
EVIDENCE, NOTEBOOK = PROJECT / "requirements-evidence.lock", PROJECT / "requirements-notebook.lock"


def with_validators() -> Path:
    """The Python that has the validators, and nothing else: one of them wants other packages than the project."""
    return python_with("validators", VALIDATORS, alone=True)


def with_evidence() -> Path:
    """The Python that has what `make setup-evidence` installs on top of what the tests and a project have."""
    return python_with("evidence", EVIDENCE)


def with_notebooks() -> Path:
    """The Python that has what `make setup-notebook` installs, likewise."""
    return python_with("notebook", NOTEBOOK)
