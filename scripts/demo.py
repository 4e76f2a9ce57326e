"""Bakes a project with the default answers into demo/, runs its pipeline, commits, and prints what came out.

Running it again goes on with the project that is there: nothing that is up to date runs anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]
DEMO = TEMPLATE / "demo"


def main() -> None:
    project = DEMO / "traceable-digits"
    if not (project / ".git" / "refs" / "heads" / "main").exists():
        shutil.rmtree(project, ignore_errors=True)  # a demo that was interrupted while it was baked
        DEMO.mkdir(exist_ok=True)
        cookiecutter(str(TEMPLATE), no_input=True, output_dir=str(DEMO))
    call(project, "make", "setup", f"PYTHON={sys.executable}")
    call(project, "dvc", "repro")
    call(project, "git", "add", "--all")
    if ask(project, "git", "status", "--porcelain"):
        call(project, *identity(project), "commit", "--quiet", "--message", "First model")
    call(project, "dvc", "push", "--quiet")
    call(project, "lineage", "link", "--quiet")
    show(project)


def show(project: Path) -> None:
    """What came out: the version, its metrics, its chain."""
    lineage = json.loads((project / "lineage.json").read_text(encoding="utf-8"))
    uri = f"models:/{lineage['model']['name']}/{lineage['model']['version']}"
    scores = lineage["metrics"]["test"]
    print(
        f"""
registered    {uri}, alias candidate
test          accuracy {scores["accuracy"]:.4f}, macro F1 {scores["f1_macro"]:.4f}, {scores["records"]} records
""",
        flush=True,
    )
    call(project, "lineage", "trace", uri)
    print(
        f"""
try next      cd {project.relative_to(Path.cwd()) if project.is_relative_to(Path.cwd()) else project}
              . .venv/bin/activate
              lineage verify {uri}     # prove each link of this chain
              dvc exp run -S data.fraction=0.1        # train on a tenth of the records
              mlflow ui --backend-store-uri sqlite:///mlflow.db
"""
    )


def call(project: Path, *command: str) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    code = subprocess.run(command, cwd=project, env=environment(project), check=False).returncode
    if code != 0:
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


if __name__ == "__main__":
    main()
