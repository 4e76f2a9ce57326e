"""Bakes a project with the default answers into demo/, runs its pipeline, commits, and prints what came out.

Running it again goes on with the project that is there: nothing that is up to date runs again.
"""

from __future__ import annotations

import json
from pathlib import Path

from project import NAME, TEMPLATE, bake, call, commit, setup, shown

DEMO = TEMPLATE / "demo"


def main() -> None:
    project = DEMO / NAME
    if not (project / ".git" / "refs" / "heads" / "main").exists():  # none, or one that was interrupted while baked
        bake(DEMO)
    setup(project)
    call(project, "dvc", "repro")
    commit(project, "First model")
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
try next      cd {shown(project)}
              . .venv/bin/activate
              lineage verify {uri}     # prove each link of this chain
              dvc exp run -S data.fraction=0.1        # train on a tenth of the records
              mlflow ui --backend-store-uri sqlite:///mlflow.db
"""
    )


if __name__ == "__main__":
    main()
