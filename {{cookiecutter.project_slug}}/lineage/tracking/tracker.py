"""The MLflow store of the project: where it is, and runs in it."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ..base.errors import TrackerError
from ..git.repository import strip_user
from ..settings import flatten
from ..settings.tracking import Tracking
from .address import SQLITE, absolute_uri, is_database, local_path
from .client import own_client, use_store
from .quiet import quiet
from .registry import Registry
from .server import require_answer

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARAM_BATCH = 100  # MLflow's limit for one request
PARAM_LENGTH = 6000  # MLflow cuts longer ones without an error
ELSEWHERE = "or keep runs here: `lineage compose tracking.uri=sqlite:///mlflow.db` with your other overrides."
PATIENCE, PAUSE = 120, 5  # seconds for which a server that has gone is waited for, and between two questions


def _create_whole(path: Path) -> None:
    """Makes a new SQLite store beside its place first: a kill while the tables are made would leave half of them."""
    if path.exists():
        return
    quiet()
    import mlflow

    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    mlflow.MlflowClient(SQLITE + partial.as_posix()).search_experiments(max_results=1)
    partial.replace(path)


def wait_for_answer(require: Callable[[], None], shown_uri: str) -> None:
    """Waits for a server that has gone, for two minutes and not in silence. Raises TrackerError if it stays away.

    `require` raises TrackerError as long as it does not answer.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            require()
            return
        except TrackerError:
            left = int(deadline - time.monotonic())
            if left <= 0:
                raise
            print(f"{shown_uri} does not answer; waiting for {left} seconds more.", file=sys.stderr, flush=True)
            time.sleep(PAUSE)  # between two questions


class Tracker(Registry):
    """A thin layer over MLflow's client: one experiment of one store.

    Raises TrackerError where the store cannot be reached or is not usable; the message names the store.
    """

    def __init__(self, settings: Tracking, main: Path) -> None:
        self.settings = settings
        self.main = main
        self.uri = absolute_uri(settings.uri, main)
        self.shown_uri = strip_user(settings.uri)
        folder = main / ".dvc" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        # two stages that start at once would both create the tables, or the experiment
        with FileLock(folder / "tracking.lock"):
            with self.asked("open the store"):
                self.client = self._open()
            with self.asked(f"open experiment {settings.experiment!r}"):
                self.experiment_id = self._experiment()

    def _open(self) -> MlflowClient:
        if self.uri.startswith(SQLITE):
            _create_whole(Path(self.uri.removeprefix(SQLITE)))
        return own_client(self.uri, ELSEWHERE)

    def use(self) -> None:
        """Makes this MLflow's current store: plug-ins, and a registry in a database, go by that."""
        use_store(self.uri)

    def _experiment(self) -> str:
        name = self.settings.experiment
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            location = (self.main / "mlartifacts").as_uri() if is_database(self.uri) else None
            self.client.create_experiment(name, artifact_location=location)
            experiment = self.client.get_experiment_by_name(name)
        if experiment.lifecycle_stage != "active":
            raise TrackerError(
                f"the experiment {name!r} at {self.shown_uri} is deleted. Restore it, or set tracking.experiment."
            )
        self._refuse_foreign_artifacts(experiment.artifact_location)
        return str(experiment.experiment_id)

    def _refuse_foreign_artifacts(self, location: str) -> None:
        # a store of the project's own keeps its artifacts with it, unless the project was moved or copied
        folder = local_path(location)
        if self.uri != self.settings.uri and folder is not None and not folder.is_relative_to(self.main):
            raise TrackerError(
                f"{self.shown_uri} keeps its artifacts in {folder}, outside of this project. Was it moved or copied? "
                "Move it back, or begin a new store by setting tracking.uri to another file."
            )

    def start(self, name: str, tags: dict[str, str]) -> str:
        """Opens a run and returns its id."""
        with self.asked("open a run"):
            return str(self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id)

    def params(self, run_id: str, tree: dict[str, Any]) -> None:
        """Logs settings, nested or not, under their dotted keys. Raises TrackerError if a value is too long to keep."""
        from mlflow.entities import Param

        params = [Param(key, str(value)) for key, value in flatten(tree).items()]
        long = [param.key for param in params if len(param.value) > PARAM_LENGTH]
        if long:
            raise TrackerError(
                f"the value of {long[0]} is longer than the {PARAM_LENGTH} characters that MLflow keeps."
            )
        with self.asked("log parameters"):
            for first in range(0, len(params), PARAM_BATCH):
                self.client.log_batch(run_id, params=params[first : first + PARAM_BATCH])

    def tags(self, run_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        with self.asked("set tags"):
            self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def metrics(self, run_id: str, values: dict[str, float], step: int | None, moment: int) -> None:
        """Logs numbers of the `moment`, in milliseconds since 1970: the same again is logged once."""
        from mlflow.entities import Metric

        metrics = [Metric(key, float(value), moment, step or 0) for key, value in values.items()]
        with self.asked("log metrics"):
            self.client.log_batch(run_id, metrics=metrics)

    def points(self, run_id: str) -> set[tuple[str, int]]:
        """Name and step of every metric that the run has."""
        with self.asked("look up metrics"):
            names = self.client.get_run(run_id).data.metrics
            histories = [self.client.get_metric_history(run_id, name) for name in names]
        return {(point.key, point.step) for history in histories for point in history}

    def artifact(self, run_id: str, path: Path, folder: str | None = None) -> None:
        with self.asked(f"store {path.name}"):
            self.client.log_artifact(run_id, str(path), folder)

    def text(self, run_id: str, text: str, name: str) -> None:
        with self.asked(f"store {name}"):
            self.client.log_text(run_id, text, name)

    def dataset(self, run_id: str, name: str, digest: str, source: str, context: str) -> None:
        """Logs a dataset version as an input of the run; `digest` is the hash that DVC gives it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=name, digest=digest, source_type="dvc", source=source)
        with self.asked("log the dataset"):
            self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def end(self, run_id: str, status: str) -> None:
        """Closes a run; `status` is FINISHED, FAILED or KILLED."""
        with self.asked("close the run"):
            self.client.set_terminated(run_id, status)

    def has_run(self, run_id: str | None) -> bool:
        """Whether this store holds the run, deleted or not."""
        if not run_id:
            return False
        from mlflow.exceptions import MlflowException

        with self.asked("look up a run"):
            try:
                self.client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return False
                raise
        return True

    def wait(self) -> None:
        """Waits for its server for a while if it has gone. Raises TrackerError if it stays away."""
        wait_for_answer(self.require_answer, self.shown_uri)

    def require_answer(self) -> None:
        """Raises TrackerError within seconds if its server has gone."""
        require_answer(self.uri, ELSEWHERE)


def source_tags() -> dict[str, str]:
    """Tags that say which process of which machine a run belongs to."""
    return {"host": socket.gethostname(), "pid": str(os.getpid())}
