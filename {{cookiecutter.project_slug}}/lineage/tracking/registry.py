"""Models and their versions in the registry, for a stage that has not imported MLflow: see shared.py."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..dvc.hashes import Content
from .artifact import read_artifact
from .asked import OneStore
from .candidate import ALIAS, MOVED_TO
from .described import place_card
from .pages import all_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


CARD = "model_card.md"  # among the registered files
METRIC_BATCH = 500  # MLflow takes 1,000 in one request


@dataclass(frozen=True)
class Packed:
    """A model as MLflow stores it: a pyfunc, which `loader` loads from `data`."""

    name: str
    loader: Path  # a package, which comes with the model
    data: Path
    requirements: list[str]
    signature: dict[str, list[dict[str, Any]]]  # inputs and outputs: columns as MLflow's MLmodel files write them
    example: Any
    card: str  # Markdown


class Registered(NamedTuple):
    """A version in the registry."""

    name: str
    version: str
    model_id: str  # of the registered files
    tags: dict[str, str]

    @classmethod
    def of(cls, version: ModelVersion) -> Registered:
        model_id = version.source.removeprefix("models:/")
        return cls(version.name, str(version.version), model_id, dict(version.tags))


def latest_scores(metrics: list[Any]) -> dict[str, float]:
    """The value that MLflow shows of each metric of a logged model: that of the last moment."""
    return {metric.key: metric.value for metric in sorted(metrics, key=lambda metric: (metric.timestamp, metric.step))}


class Registry(OneStore):
    """What registering a model asks of a store."""

    client: MlflowClient
    experiment_id: str

    def find_version(self, name: str, tags: dict[str, str]) -> Registered | None:
        """The oldest version of `name` with these tags."""
        with self.asked("look up the versions"):
            ask = self.client.search_model_versions
            versions = list(all_of(lambda token: ask(f"name = '{name}'", page_token=token)))
        found = [version for version in versions if tags.items() <= version.tags.items()]
        oldest = min(found, key=lambda version: int(version.version), default=None)
        return oldest and Registered.of(oldest)

    def log_model(self, model: Packed, run_id: str | None) -> str:
        """Stores a model as an output of a run, or of none, and returns its id.

        As `mlflow.pyfunc.log_model` does, which would load the model in this process to try it.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model

        with self.asked("store the model"), tempfile.TemporaryDirectory() as scratch:
            params = self.client.get_run(run_id).data.params if run_id else {}
            logged = self.client.create_logged_model(self.experiment_id, model.name, run_id, params=params)
            try:
                if run_id:
                    self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
                save_model(
                    Path(scratch) / "model",
                    loader_module=model.loader.name,
                    data_path=str(model.data),
                    code_paths=[str(model.loader)],
                    pip_requirements=model.requirements,
                    signature=ModelSignature.from_dict(
                        {side: json.dumps(columns) for side, columns in model.signature.items()}
                    ),
                    input_example=model.example,
                    mlflow_model=Model(
                        artifact_path=logged.artifact_location,
                        model_uuid=logged.model_id,
                        run_id=run_id,
                        model_id=logged.model_id,
                    ),
                )
                (Path(scratch) / "model" / CARD).write_text(model.card + "\n", encoding="utf-8", newline="\n")
                self.client.log_model_artifacts(logged.model_id, str(Path(scratch) / "model"))
            except BaseException:
                with suppress(Exception):  # the first error is the one to tell
                    self.client.finalize_logged_model(logged.model_id, "FAILED")
                raise
            self.client.finalize_logged_model(logged.model_id, "READY")
        return str(logged.model_id)

    def registered_files(self, model_id: str) -> Content:
        """What the registry hands out for a model, by content."""
        with self.asked("read the registered model"):
            return read_artifact(self.client, model_id).content

    def create_version(
        self, name: str, project_id: str, model_id: str, run_id: str | None, tags: dict[str, str]
    ) -> Registered:
        """Makes the stored model a version of `name`, which is made where it is new."""
        from mlflow.exceptions import MlflowException

        with self.asked("register the model"):
            try:
                self.client.create_registered_model(name, tags={"project_id": project_id})
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = self.client.create_model_version(
                name, source=f"models:/{model_id}", run_id=run_id, model_id=model_id, tags=tags
            )
        return Registered.of(made)

    def describe(self, version: Registered, text: str) -> bool:
        """Makes the card the description of a version; false if somebody has edited that, so that it stays."""
        with self.asked("describe the version"):
            found = self.client.get_model_version(version.name, version.version).description
            placed = place_card(found, text)
            if placed is not None and placed != found:
                self.client.update_model_version(version.name, version.version, description=placed)
        return placed is not None

    def show_scores(self, model_id: str, run_id: str, scores: dict[str, float], dataset: tuple[str, str]) -> None:
        """Logs scores on a dataset, of this name and digest, beside the registered files and to a run.

        MLflow compares models by these. Those that are shown already are not logged again.
        """
        from mlflow.entities import Metric

        with self.asked("log the scores of the model"):
            shown = latest_scores(self.client.get_logged_model(model_id).metrics or [])
            if all(shown.get(key) == value for key, value in scores.items()):
                return
            now = time.time_ns() // 1_000_000
            metrics = [
                Metric(key, float(value), now, 0, model_id, dataset_name=dataset[0], dataset_digest=dataset[1])
                for key, value in scores.items()
            ]
            for first in range(0, len(metrics), METRIC_BATCH):
                self.client.log_batch(run_id, metrics=metrics[first : first + METRIC_BATCH])

    def move_candidate(self, version: Registered, identity: str) -> None:
        """Points the alias at the version, whose model has this identity."""
        with self.asked("move the alias"):
            self.client.set_registered_model_alias(version.name, ALIAS, version.version)
            self.client.set_registered_model_tag(version.name, MOVED_TO, identity)
