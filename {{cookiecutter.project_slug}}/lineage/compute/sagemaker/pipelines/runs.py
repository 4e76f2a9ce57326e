"""The runs in MLflow of an execution: nobody has sent its jobs who could close them, or say what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....chain.facts import EXECUTION
from ....git.anchor import main_root
from ..aws import Aws
from ..kinds import KINDS
from .executions import Started
from .plan import Plan

if TYPE_CHECKING:
    from mlflow.entities import Run

    from ....tracking.store import Store

OVER = ("Failed", "Stopped", "Succeeded")


def close_runs(plan: Plan, execution: Started) -> list[str]:
    """Closes in MLflow what an execution that is over has left open: a job that is killed cannot. Returns their ids.

    Raises TrackerError if MLflow cannot be asked.
    """
    if execution.status not in OVER or not plan.settings.callbacks:
        return []
    store, runs = _runs_of(plan, execution)
    found = [run.info.run_id for run in runs if run.info.status in ("RUNNING", "SCHEDULED")]
    with store.asked("close a run"):
        for run_id in found:
            store.client.set_terminated(run_id, "KILLED")
    return found


def tag_runs(plan: Plan, aws: Aws, execution: Started) -> None:
    """Writes into each run what is known of its job by now: image, instance, and the seconds that are billed.

    Raises TrackerError if MLflow, and DispatchError if AWS cannot be asked.
    """
    if not plan.settings.callbacks:
        return
    store, runs = _runs_of(plan, execution)
    for step in execution.steps:
        name = step.job.rpartition("/")[2]
        # several, where its instance was taken away
        of_job = [run.info.run_id for run in runs if run.data.tags.get("sagemaker_job_name") == name]
        facts = _facts(aws, step.job, name) if of_job else {}
        with store.asked("set tags"):
            for run_id in of_job:
                for key, value in facts.items():
                    store.client.set_tag(run_id, key, value)


def _runs_of(plan: Plan, execution: Started) -> tuple[Store, list[Run]]:
    from ....tracking.store import Store

    store = Store(plan.settings.tracking.uri, main_root(plan.root), plan.settings.project_id)
    runs = [run for run in store.runs.values() if run.data.tags.get(EXECUTION) == execution.identity]
    return store, runs


def _facts(aws: Aws, arn: str, name: str) -> dict[str, str]:
    job = KINDS["training" if ":training-job/" in arn else "processing"](aws, name, "", "")
    job.image = _first(job.seen, ("AlgorithmSpecification", "TrainingImage"), ("AppSpecification", "ImageUri"))
    cluster = ("ProcessingResources", "ClusterConfig", "InstanceType")
    job.instance_type = _first(job.seen, ("ResourceConfig", "InstanceType"), cluster)
    return job.facts


def _first(seen: dict[str, Any], *places: tuple[str, ...]) -> str:
    """What stands at the first of the places that the description of a job has."""
    for place in places:
        found: Any = seen
        for key in place:
            found = found.get(key) if isinstance(found, dict) else None
        if found:
            return str(found)
    return "unknown"
