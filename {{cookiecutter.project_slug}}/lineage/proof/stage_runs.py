"""The runs in MLflow of one model: of its training, and of the stages before and after it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ..base.errors import LineageError
from ..contract import Role
from ..dvc.hashes import NAME
from ..tracking.pages import all_of
from ..tracking.store import Store
from .case import ModelCase

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

MANY = 8  # questions, after which all runs of the project are read at once


def training_run(case: ModelCase) -> Run:
    """The run that trained the model. Raises LineageError if there is none."""
    run = store_of_training(case).run(case.document["training_run"]["run_id"])
    if run is None:
        raise LineageError("there is no training run to compare with.")
    return run


def store_of_training(case: ModelCase) -> Store:
    """The store that holds the training run. Raises LineageError if the model was trained without one."""
    if not case.document["training_run"].get("run_id"):
        raise LineageError("the model was trained without MLflow: no run was ever logged there.")
    return case.evidence.store_at(case.document["training_run"]["tracking_uri"])


def runs_after(case: ModelCase, role: Role) -> list[tuple[Store, Run]]:
    """The finished runs that made what has the role after training, oldest first, in its store and in today's."""
    stage = case.stage(role).name
    stores = dict.fromkeys((store_of_training(case), case.evidence.store))
    run_id = str(case.document["training_run"]["run_id"])
    return [(store, run) for store in stores for run in _finished(store, stage, "training_run_id", run_id)]


def runs_before(case: ModelCase) -> list[tuple[Store, Run]]:
    """The finished runs that made the dataset version of the model, in the store of the training."""
    store, stage = store_of_training(case), case.stage(Role.DATASET).name
    found = _finished(store, stage, "dvc_data_md5", case.document["dataset"]["md5"])
    return [(store, run) for run in found]


def history(store: Store, run: Run, key: str) -> list[Metric]:
    """Every value that a metric of a run ever had."""
    with store.asked(f"read the metric {key} of run {run.info.run_id}"):
        return list(store.client.get_metric_history(run.info.run_id, key))


@cache  # lives as long as one command
def _finished(store: Store, stage: str, tag: str, value: str) -> list[Run]:
    if not NAME.fullmatch(value):
        raise LineageError(f"{tag} is no hash: {value!r}.")
    asked = store.__dict__.setdefault("_stage_runs_asked", [])
    asked.append(value)
    if len(asked) > MANY or "runs" in store.__dict__:
        found = [run for run in store.runs.values() if run.data.tags.get(tag) == value]
        found = [run for run in found if run.data.tags.get("dvc_stage") == stage]
    else:
        found = _search(store, f"tags.{tag} = '{value}' and tags.dvc_stage = '{stage}'")
    finished = [run for run in found if run.info.status == "FINISHED" and run.info.lifecycle_stage == "active"]
    return sorted(finished, key=lambda run: run.info.start_time)


def _search(store: Store, wanted: str) -> list[Run]:
    wanted = f"tags.project_id = '{store.project_id}' and {wanted}"
    with store.asked("look for the runs of a stage"):
        experiments = [experiment.experiment_id for experiment in all_of(lambda token: _experiments(store, token))]
        return list(all_of(lambda token: store.client.search_runs(experiments, wanted, page_token=token)))


def _experiments(store: Store, token: str | None) -> Any:
    return store.client.search_experiments(page_token=token)
