"""A baked tree, looked at file by file: what is there, what is left unrendered, what cannot be parsed."""

from __future__ import annotations

import ast
import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from baked import TEMPLATE
from configobj import ConfigObj
from infrastructure import read_template

INSIDE = "{{cookiecutter.project_slug}}/"
WORKFLOWS = {"github": ".github/workflows/ci.yml", "gitlab": ".gitlab-ci.yml"}
JOBS = tuple(f".github/workflows/{name}.yml" for name in ("model", "checks", "promote"))  # and what they run
OF_JOBS = ("scripts/ci/", "docs/ci.md")
INFRA = ("infra/", "docs/infrastructure.md")
RAW = (".py", ".jinja", ".lock", ".dvc/plots.html")  # copied as they are; their braces are their own
READERS: dict[str, Callable[[str], Any]] = {
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".py": ast.parse,
    "dvc.lock": yaml.safe_load,
    ".dvc/config": lambda text: ConfigObj(text.splitlines()),  # as dvc reads it
}


def expected(package: str, ci: str, jobs: str, infra: str) -> set[str]:
    """The files that answers make: those of the template, with the package's name and the workflows of one service."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", INSIDE]
    listed = subprocess.run(command, cwd=TEMPLATE, capture_output=True, text=True, check=True).stdout.split("\0")
    names = {
        name.removeprefix(INSIDE).replace("{{cookiecutter.package_name}}", package)
        for name in listed
        if (TEMPLATE / name).is_file()
    }
    names -= {path for choice, path in WORKFLOWS.items() if choice != ci}
    names -= set(JOBS) if ci != "github" or jobs == "checks" else set()
    if ci == "none" or jobs == "checks":
        names = {name for name in names if not name.startswith(OF_JOBS)}
    return {name for name in names if infra == "yes" or not name.startswith(INFRA)}


def found(root: Path) -> set[str]:
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if path.parts[0] != ".git"}


def unrendered(root: Path) -> list[str]:
    """Files that still hold what a bake should have replaced."""
    left = []
    for name in sorted(found(root)):
        text = (root / name).read_text(encoding="utf-8")
        marks = ["cookiecutter", "not-yet-made"]
        if not name.endswith(RAW) and not name.startswith(".github/"):
            marks += ["{" + "{", "{" + "%", "{" + "#"]
        left += [f"{name}: {mark}" for mark in marks if mark in text]
    return left


def parsed(root: Path) -> dict[str, Any]:
    """What each structured file says. Raises what its reader raises."""
    documents = {}
    for name in sorted(found(root)):
        reader = READERS.get(name) or READERS.get(PurePosixPath(name).suffix)
        if name.startswith("infra/"):
            reader = read_template
        if reader is not None:
            documents[name] = reader((root / name).read_text(encoding="utf-8"))
    return documents


def refused_by_windows(name: str) -> bool:
    """Whether Windows cannot hold a file of this name: a device's, a character that it refuses, a dot at an end."""
    devices = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}
    return any(
        set(part) & set('<>:"|?*\\')
        or any(ord(char) < 32 for char in part)
        or part.lower().partition(".")[0] in devices
        or part.endswith((".", " "))
        for part in name.split("/")
    )
