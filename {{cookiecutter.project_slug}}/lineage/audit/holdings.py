"""What an audit asks: Git, and the MLflow stores that Git names. Each is opened once, however many ask."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..proof.case import Evidence
from ..proof.stores import Stores
from ..proof.whose import Whose
from ..tracking.store import Store
from .use import Use

if TYPE_CHECKING:
    from mlflow.entities import Run

BASE = "mlflow.source.git.commit"  # tag of a run: the commit that it started from


class Holdings:
    """What this project has in Git and in its stores."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.git = evidence.git_models

    @cached_property
    def stores(self) -> Stores:
        """The stores of this project, those that are asked and those that cannot be."""
        return Stores(self.evidence)

    @cached_property
    def whose(self) -> dict[str, Whose]:
        """What is not marked as this project's, by the address of the store that holds it."""
        return {store.uri: Whose(self.evidence, store) for store in self.stores.asked}

    def run(self, run_id: str) -> tuple[Store, Run] | None:
        """A run by id, with the store that has it."""
        return next(((store, store.runs[run_id]) for store in self.stores.asked if run_id in store.runs), None)

    def bases(self, use: Use) -> list[str]:
        """The commits that the training of a model started from, as its run has written down into Git."""
        return self._bases.get(use.identity or "", [])

    @cached_property
    def _bases(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for document in self.git.documents:
            started = (document.get("training_run") or {}).get("started_from") or {}
            found.setdefault(str(document["model"].get("identity")), []).append(str(started.get(BASE)))
        return found


def inputs_of(run: Run) -> set[str]:
    """The dataset versions that a run has logged as its inputs."""
    datasets = (entry.dataset for entry in run.inputs.dataset_inputs)
    return {dataset.digest for dataset in datasets if dataset.source_type == "dvc"}
