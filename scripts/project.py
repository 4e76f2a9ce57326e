"""What the demos have in common: a project is baked, and commands are run in it as in a terminal, each one shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]
NAME = "traceable-digits"  # what the default answers make


def bake(folder: Path) -> Path:
    """Bakes the template with the default answers into `folder` and returns the project's root."""
    project = folder / NAME
    shutil.rmtree(project, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    cookiecutter(str(TEMPLATE), no_input=True, output_dir=str(folder))
    return project


def fresh_folder(folder: Path) -> Path:
    """A fresh project in `folder`, with the environment of the one before: to install it takes longest."""
    environment, kept = folder / NAME / ".venv", folder / ".venv"
    if environment.exists():
        shutil.rmtree(kept, ignore_errors=True)
        environment.rename(kept)
    for path in folder.glob("*"):
        if path != kept:
            shutil.rmtree(path)
    project = bake(folder)
    if kept.exists():
        kept.rename(environment)
    return project


def setup(project: Path) -> None:
    """Makes the project's environment, with this Python."""
    call(project, "make", "setup", f"PYTHON={sys.executable}")


def commit(project: Path, message: str) -> None:
    """Commits everything, if there is anything to commit."""
    call(project, "git", "add", "--all")
    if ask(project, "git", "status", "--porcelain"):
        call(project, *identity(project), "commit", "--quiet", "--message", message)


def call(project: Path, *command: str, answers: Collection[int] = (0,)) -> None:
    """Shows and runs a command. Ends the demo unless its exit status is one of `answers`."""
    print(f"$ {' '.join(command)}", flush=True)
    code = subprocess.run(command, cwd=project, env=environment(project), check=False).returncode
    if code not in answers:
        sys.exit(code)


def ask(project: Path, *command: str) -> str:
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout.strip()


def environment(project: Path) -> dict[str, str]:
    """As if the project's environment were activated."""
    path = os.pathsep.join([str(project / ".venv" / "bin"), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(project / ".venv")}


def identity(project: Path) -> list[str]:
    """`git`, with a name and an address where none is configured."""
    known = subprocess.run(["git", "var", "GIT_COMMITTER_IDENT"], cwd=project, capture_output=True, check=False)
    return ["git"] if known.returncode == 0 else ["git", "-c", "user.name=demo", "-c", "user.email=nobody@localhost"]


def shown(project: Path) -> Path:
    """The project's root as one would type it here."""
    return project.relative_to(Path.cwd()) if project.is_relative_to(Path.cwd()) else project
