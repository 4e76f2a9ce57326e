"""What is to be proved: a model version, or the model of a lineage.json; and where the answers are taken from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import LineageError, NotCommittedError, ProjectError
from ..contract import Role
from ..dvc.dvcfile import PARAMS_FILE, Lock, Stage, read_lock
from ..dvc.objects import Objects
from ..dvc.places import Places
from ..dvc.recorded import Recorded
from ..git.anchor import main_root
from ..git.history import History
from ..git.tree import Tree
from ..settings import read_params
from ..tracking.store import Store
from .collections import Collections
from .decisions import Decisions
from .erasures import Erasures
from .git_models import GitModels
from .result_commits import best_result_commit, completed, holds_model

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

# what may be done about a commit that is in no clone any more, as after `dvc exp remove`
GONE = (
    "`git fetch --all`, then ask again; a clone that has the commit can push it; if there is none, "
    "`lineage retire {0} --reason ...` takes the version out of `lineage verify --all`"
)


class Evidence:
    """Git, DVC and MLflow as the project at `root` knows them. Everything is asked for once, however many ask."""

    def __init__(self, root: Path, *, shared: bool = False) -> None:
        """With `shared`, for a few questions, MLflow is asked in the process that stages share: see `Store`."""
        self.root = root
        self._shared = shared
        self.main = main_root(root)
        params = read_params(root / PARAMS_FILE)
        self.project_id = str(params["project_id"])
        self.history = History(root)
        self.places = Places(root)
        self.objects = Objects(self.places)
        self.erasures = Erasures(root, self.history, self.objects, self._logged_roots)
        self.asks_mlflow = True  # audits can do without
        self._stores: dict[str, Store] = {}
        self.store = self.store_at(str(params["tracking"]["uri"]))

    def _logged_roots(self, dataset: str) -> set[str]:
        """The Merkle roots that the runs of a dataset version have logged; none where MLflow is not asked or silent."""
        try:
            runs = self.store.runs.values() if self.asks_mlflow else ()
        except ProjectError:
            return set()
        tags = [run.data.tags for run in runs if run.data.tags.get("dvc_data_md5") == dataset]
        return {each["subjects_root"] for each in tags if "subjects_root" in each}

    @cached_property
    def git_models(self) -> GitModels:
        """Every model that Git holds."""
        return GitModels(self.history, self.root)

    @cached_property
    def decisions(self) -> Decisions:
        """Who was given an alias such as `champion`, by whom, as Git holds it."""
        return Decisions(self.history)

    @cached_property
    def collections(self) -> Collections:
        """What `lineage gc` has deleted, as Git holds it."""
        return Collections(self.history)

    def store_at(self, uri: str) -> Store:
        """The MLflow store at `uri`; a relative one belongs to the main project."""
        store = Store(uri, self.main, self.project_id, shared=self._shared)
        return self._stores.setdefault(store.uri, store)


class ModelCase:
    """One model. What the registry claims of it is in `version`; None if MLflow is not to be asked."""

    def __init__(self, evidence: Evidence, version: ModelVersion | None, claimed: dict[str, Any] | None = None) -> None:
        self.path: Path | None = None  # of the lineage.json on disk, where one was named
        self.evidence = evidence
        self.history = evidence.history
        self.version = version
        self.claimed = claimed or {}  # a lineage.json, where there is no version

    @property
    def title(self) -> str:
        if self.version is None:
            return "lineage.json"
        return f"models:/{self.version.name}/{self.version.version}"

    @cached_property
    def identity(self) -> str:
        """The model identity that is claimed. Raises LineageError if none is."""
        identity = self.version.tags.get("model_identity") if self.version else self.claimed["model"].get("identity")
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
        text = self.identity_text
        found = best_result_commit(self.history, self.identity, text, self._agrees) if text else None
        return found and completed(self.history, found)

    @property
    def identity_text(self) -> str:
        """A hash that every dvc.lock with this model holds, as far as is claimed; empty if none is."""
        if self.version is not None:
            text = self.version.tags.get("dvc_run_md5") or self.version.tags.get("dvc_model_md5")
        else:
            text = self.claimed["training_run"].get("md5")
        return str(text or "")

    def _agrees(self, document: dict[str, Any]) -> bool:
        """Whether a lineage.json of the history is this model's: this version's, or the one that was named."""
        if self.version is None:
            return document == self.claimed
        model, source = document["model"], f"models:/{(document.get('artifact') or {}).get('model_id')}"
        mine = (self.version.name, str(self.version.version), self.version.source)
        # another store may have a version of the same name and number
        return (model.get("name"), model.get("version"), source) == mine

    def describes_model(self, commit: str) -> bool:
        """Whether lineage.json at a commit is that of this very version."""
        document = self.history.at(commit).document
        return document is not None and self._agrees(document)

    @cached_property
    def commit(self) -> str:
        """The commit that holds this model: the one written down if it does, else one found by hash.

        Raises LineageError if there is none.
        """
        tagged = self.tagged_commit
        if tagged and self.history.resolve(tagged) and holds_model(self.history.at(tagged).lock, self.identity):
            return tagged
        if self.found_commit is None:
            self.require_committed()
            raise LineageError(
                "no commit holds this model, so there is nothing to compare with. Commit after each `dvc repro`: what "
                "was never committed cannot be proved.",
                fix=self.gone,
            )
        return self.found_commit

    @property
    def gone(self) -> str:
        """What to do about a model whose commit is nowhere to be found."""
        return GONE.format(self.title)

    def require_committed(self) -> None:
        """Raises NotCommittedError where the model lies here, in dvc.lock, and no commit has held it yet.

        Raises LineageError where this clone may lack the commit that does.
        """
        self.history.require_complete()
        if self.tagged_commit or self.found_commit:
            return
        try:
            here = read_lock(self.evidence.root)
        except ProjectError:  # a merge conflict, say: then nothing is here
            return
        if not holds_model(here, self.identity):
            return
        push = "git push && dvc push" if self.history.remote.name else "dvc push"
        raise NotCommittedError(
            "not committed yet: dvc.lock here holds this model and no commit does.",
            fix=f"`git add --all && git commit`, then `{push}`, then ask again",
        )

    @property
    def tree(self) -> Tree:
        """The project as the result commit holds it."""
        return self.history.at(self.commit)

    @property
    def lock(self) -> Lock:
        """dvc.lock of the result commit."""
        return self.tree.lock

    @property
    def recorded(self) -> Recorded:
        """dvc.lock of the result commit, by the roles that dvc.yaml gives there."""
        return self.tree.recorded

    @property
    def training(self) -> Stage:
        """The stage that made the model. Raises LineageError if dvc.yaml of the result commit names none."""
        return self.stage(Role.MODEL)

    def stage(self, role: Role) -> Stage:
        """The stage that made what has the role. Raises LineageError if dvc.yaml of the result commit names none."""
        stage = self.recorded.pipeline.maker(role)
        if stage is None:
            raise LineageError(f"dvc.yaml at {self.commit[:12]} gives no stage the role {role}.")
        return stage

    @property
    def dataset(self) -> str:
        """The dataset version that the model was trained on; empty if dvc.lock names none."""
        return self.recorded.md5(Role.DATASET) or ""

    @property
    def document(self) -> dict[str, Any]:
        """lineage.json of the result commit. Raises LineageError unless it is about this model."""
        document = self.tree.document
        if document is None or document["model"].get("identity") != self.recorded.identity:
            raise LineageError(f"lineage.json at {self.commit[:12]} is about another model.")
        return document
