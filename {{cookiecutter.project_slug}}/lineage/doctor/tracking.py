"""Whether runs and models can be kept where `tracking.uri` says."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from ..base.finding import Finding
from ..base.printable import some
from ..dvc.dvcfile import PARAMS_FILE
from ..git.anchor import main_root
from ..git.repository import Repository
from ..settings import load_settings
from ..tracking.address import SQLITE, absolute_uri, local_path
from ..tracking.check_server import check_server, deleted_experiment


def check_tracking(root: Path) -> Finding:
    tracking = load_settings(root / PARAMS_FILE).tracking
    uri = tracking.uri
    other = os.environ.get("MLFLOW_TRACKING_URI")
    if other and other != uri:
        text = "MLFLOW_TRACKING_URI is set but not used: runs go to tracking.uri, so that dvc notices a change."
        return Finding("MLflow", "wrong", text, "unset MLFLOW_TRACKING_URI")
    if uri.startswith(("http://", "https://")):
        return check_server(uri, tracking.experiment)
    if uri.startswith(SQLITE):
        main = main_root(root)
        found = _check_sqlite(absolute_uri(uri, main).removeprefix(SQLITE), tracking.experiment)
        if found.state == "right" and absolute_uri(uri, main) != uri and _may_be_removed(root, main):
            text = (
                f"{found.text} lies in a worktree, because the main one has no project: `git worktree remove` would "
                "delete it. Keep runs elsewhere:"
            )
            return Finding(
                "MLflow", "unknown", text, "lineage compose tracking.uri=sqlite:////a/lasting/folder/mlflow.db"
            )
        return found
    return Finding("MLflow", "unknown", f"{uri} is only known to answer when a stage runs")


def _may_be_removed(root: Path, main: Path) -> bool:
    """Whether what belongs to the main project lies in a linked worktree."""
    places = Repository(root).lines("rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir")
    return main == root.resolve() and len(set(places)) > 1


def _check_sqlite(path: str, experiment: str) -> Finding:
    if not Path(path).exists():
        return Finding("MLflow", "right", f"{path} is made by the first run")
    with closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)) as database:
        if schema := _schema(database, f"{SQLITE}{path}"):
            return schema
        rows = database.execute("SELECT name, artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
        places = {name: local_path(place) for name, place in rows}
        lost = [name for name, place in places.items() if place is not None and not place.parent.exists()]
        if lost:
            text = f"{path} keeps the artifacts of {some(lost)} in a folder that is gone. Was the project moved?"
            return Finding("MLflow", "wrong", text, "lineage compose tracking.uri=sqlite:///mlflow-2.db")
        deleted = database.execute(
            "SELECT experiment_id FROM experiments WHERE name = ? AND lifecycle_stage = 'deleted'", (experiment,)
        ).fetchone()
    if deleted:
        return deleted_experiment(experiment, f"{SQLITE}{path}", str(deleted[0]))
    return Finding("MLflow", "right", path)


def _schema(database: sqlite3.Connection, uri: str) -> Finding | None:
    """What is wrong with the tables of a store; None if they are those of the MLflow that is installed."""
    try:
        database.execute("SELECT 1 FROM experiments")
        has_mark = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        (there,) = (has_mark and database.execute("SELECT version_num FROM alembic_version").fetchone()) or (None,)
    except sqlite3.DatabaseError as error:
        text = f"{uri} is no store of MLflow ({error}). Bring it back from a copy, or begin another."
        return Finding("MLflow", "wrong", text, "lineage compose tracking.uri=sqlite:///mlflow-2.db")
    known, newest = _revisions()
    if there is None or not newest or there in newest:
        return None
    if there in known:
        text = f"the tables of {uri} are those of an older MLflow. Keep a copy of the file, then:"
        return Finding("MLflow", "wrong", text, f"mlflow db upgrade {shlex.quote(uri)}")
    return Finding("MLflow", "wrong", f"the tables of {uri} are those of a newer MLflow than the lock's.", "make setup")


def _revisions() -> tuple[set[str], set[str]]:
    """The states of MLflow's tables that the installed one knows, and the last of them. Nothing is imported."""
    found = find_spec("mlflow")
    folders = [Path(place) for place in (found.submodule_search_locations if found else None) or []]
    text = "".join(
        file.read_text(encoding="utf-8")
        for folder in folders
        for file in (folder / "store" / "db_migrations" / "versions").glob("*.py")
    )
    known = set(re.findall(r"^revision = [\"'](\w+)", text, re.MULTILINE))
    return known, known - set(re.findall(r"^down_revision = [\"'](\w+)", text, re.MULTILINE))
