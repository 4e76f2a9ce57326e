"""What is to be proved: a model version, or the model of a lineage.json; and where the answers are taken from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LineageError
from ..lineage.anchor import main_root
from ..lineage.chain import model_identity
from ..pipeline.dvcfile import PARAMS_FILE, Lock
from ..settings import read_params
from .commits import best_result_commit, holds_model
from .erasures import Erasures
from .git_models import GitModels
from .history import History
from .objects import Objects
from .store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class Evidence:
    """Git, DVC and MLflow as the project at `root` knows them. Everything is asked for once, however many ask."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.main = main_root(root)
        params = read_params(root / PARAMS_FILE)
        self.project_id = str(params["project_id"])
        self.history = History(root)
        self.objects = Objects(root)
        self.erasures = Erasures(root, self.history, self.objects)
        self.asks_mlflow = True  # audits can do without
        self._stores: dict[str, Store] = {}
        self.store = self.store_at(str(params["tracking"]["uri"]))

    @cached_property
    def git_models(self) -> GitModels:
        """Every model that Git holds."""
        return GitModels(self.history, self.root)

    def store_at(self, uri: str) -> Store:
        """The MLflow store at `uri`; a relative one belongs to the main project."""
        store = Store(uri, self.main, self.project_id)
        return self._stores.setdefault(store.uri, store)


class Case:
    """One model. What the registry claims of it is in `version`; None if MLflow is not to be asked."""

    def __init__(self, evidence: Evidence, version: ModelVersion | None, claimed: dict[str, Any] | None = None) -> None:
        self.path: Path | None = None  # of the lineage.json on disk, where one was named
        self.evidence = evidence
        self.history = evidence.history
        self.version = version
        self._claimed = claimed  # a lineage.json, where there is no version

    @property
    def title(self) -> str:
        if self.version is None:
            return "lineage.json"
        return f"models:/{self.version.name}/{self.version.version}"

    @cached_property
    def identity(self) -> str:
        """The model identity that is claimed. Raises LineageError if none is."""
        identity = (
            self.version.tags.get("model_identity") if self.version else (self._claimed or {})["model"].get("identity")
        )
        if not identity:
            raise LineageError(f"{self.title} has no tag model_identity: it was not registered by this pipeline.")
        return str(identity)

    @property
    def tagged_commit(self) -> str | None:
        """The result commit that `lineage link` has written down."""
        return self.version.tags.get("result_git_commit_id") if self.version else None

    @cached_property
    def found_commit(self) -> str | None:
        """The result commit by hash, whatever is written down."""
        if self.version is not None:
            text = self.version.tags.get("dvc_run_md5") or self.version.tags.get("dvc_model_md5")
        else:
            text = (self._claimed or {})["training_run"].get("md5")
        return best_result_commit(self.history, self.identity, str(text), self._agrees) if text else None

    def _agrees(self, document: dict[str, Any]) -> bool:
        """Whether a lineage.json of the history is this model's: this version's, or the one that was named."""
        if self.version is None:
            return document == self._claimed
        model, source = document["model"], f"models:/{(document.get('artifact') or {}).get('model_id')}"
        mine = (self.version.name, str(self.version.version), self.version.source)
        # another store may have a version of the same name and number
        return (model.get("name"), model.get("version"), source) == mine

    def speaks_of_it(self, commit: str) -> bool:
        """Whether lineage.json at a commit is that of this very version."""
        document = self.history.document(commit)
        return document is not None and self._agrees(document)

    @cached_property
    def commit(self) -> str:
        """The commit that holds this model: the one written down if it does, else one found by hash.

        Raises LineageError if there is none.
        """
        tagged = self.tagged_commit
        if tagged and self.history.resolve(tagged) and holds_model(self.history.lock(tagged), self.identity):
            return tagged
        if self.found_commit is None:
            raise LineageError("no commit holds this model, so there is nothing to compare with.")
        return self.found_commit

    @property
    def lock(self) -> Lock:
        """dvc.lock of the result commit."""
        return self.history.lock(self.commit)

    @property
    def document(self) -> dict[str, Any]:
        """lineage.json of the result commit. Raises LineageError unless it speaks of this model."""
        document = self.history.document(self.commit)
        if document is None or document["model"].get("identity") != model_identity(self.lock):
            raise LineageError(f"lineage.json at {self.commit[:12]} does not speak of this model.")
        return document
