"""Which MLflow stores hold something of this project: those that Git names. Each is asked, or said not to be."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

from ..base.errors import ProjectError
from ..git.repository import strip_user
from ..tracking.address import SQLITE, absolute_uri
from ..tracking.store import Store
from .case import Evidence

CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
HERE = ("localhost", "127.0.0.1", "::1")


class Stores:
    """The store of `tracking.uri`, and those that a commit names beside it."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.asked = [evidence.store] if evidence.asks_mlflow else []
        self.not_asked: list[str] = []  # why, in sentences
        if not self.asked:
            return
        named = evidence.git_models.uris
        ours = {strip_user(evidence.store.uri)}
        for uri, commit in named.items():
            absolute = absolute_uri(uri, evidence.main)
            if strip_user(absolute) in ours or self._is_the_same(uri):
                continue
            ours.add(strip_user(absolute))
            if fault := self._ask(uri):
                where = commit if " " in commit else commit[:12]
                self.not_asked.append(
                    f"the MLflow store {strip_user(uri)}, which {where} names, was not asked: {fault}"
                )

        self._ask_other_worktrees()

    def _ask_other_worktrees(self) -> None:
        """Where the main worktree has no project, as in a bare repository, each one keeps a store of its own."""
        uri = self._evidence.store.given_uri
        for place in self._evidence.history.worktrees:
            other = absolute_uri(uri, place)
            is_there = other.startswith(SQLITE) and Path(other.removeprefix(SQLITE)).is_file()
            if is_there and other not in {store.uri for store in self.asked} and (fault := self._ask(other)):
                self.not_asked.append(f"the MLflow store {other} of another worktree was not asked: {fault}")

    @property
    def title(self) -> str:
        """What was asked, for the scope of an answer."""
        return " and ".join(store.shown_uri for store in self.asked) or "Git and DVC, without MLflow"

    def _ask(self, uri: str) -> str | None:
        """Why a store cannot be asked; None if it can be. Nothing is created, and nothing is sent to strangers."""
        store = self._evidence.store_at(uri)
        if fault := _not_to_be_opened(store, self._evidence.store):
            return fault
        try:
            _ = store.every, store.runs
        except ProjectError as error:
            return str(error)
        self.asked.append(store)
        return None

    def _is_the_same(self, uri: str) -> bool:
        """Whether everything that Git says is in a store is in one that was asked: it is that one, by another name."""
        runs, models = set[str](), set[str]()
        for document in self._evidence.git_models.documents:
            training, model = document.get("training_run") or {}, document["model"]
            if training.get("tracking_uri") == strip_user(uri):
                runs.add(str(training.get("run_id")))
            if model.get("tracking_uri") == strip_user(uri):
                models.add(f"models:/{(document.get('artifact') or {}).get('model_id')}")
        if not runs and not models:
            return False
        there = {run_id for store in self.asked for run_id in store.runs}
        sources = {version.source for store in self.asked for version in store.every}
        return runs <= there and models <= sources


def _not_to_be_opened(store: Store, main: Store) -> str | None:
    if store.uri.startswith(SQLITE):
        return _fault_of_file(Path(store.uri.removeprefix(SQLITE)))
    parts, known = urlsplit(store.uri), urlsplit(main.uri)
    if parts.scheme in ("http", "https") and parts.hostname not in (*HERE, known.hostname):
        held = [name for name in CREDENTIALS if os.environ.get(name)]
        if held:
            return f"{held[0]} is set, and is not sent to a server other than that of tracking.uri"
    return None


def _fault_of_file(path: Path) -> str | None:
    """Why a file is no MLflow store; None if it is one. MLflow itself would create the tables, or the file."""
    if not path.is_file():
        return "there is no such file here"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, ValueError) as error:
        return f"{path} cannot be read ({error})"
    return None if {"runs", "model_versions", "alembic_version"} <= tables else f"{path} is no MLflow store"
