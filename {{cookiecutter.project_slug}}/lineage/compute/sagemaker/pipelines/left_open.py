"""The runs of an execution that is over: a job that is killed cannot close its own, and nobody sent it who could."""

from __future__ import annotations

from ....chain.facts import EXECUTION
from ....git.anchor import main_root
from .executions import Started
from .plan import Plan

OVER = ("Failed", "Stopped", "Succeeded")


def close_runs(plan: Plan, execution: Started) -> list[str]:
    """Closes in MLflow what an execution that is over has left open. Returns the ids of these runs.

    Raises TrackerError if MLflow cannot be asked.
    """
    if execution.status not in OVER or not plan.settings.callbacks:
        return []
    from ....tracking.store import Store

    store = Store(plan.settings.tracking.uri, main_root(plan.root), plan.settings.project_id)
    open_ = [run for run in store.runs.values() if run.info.status in ("RUNNING", "SCHEDULED")]
    found = [run.info.run_id for run in open_ if run.data.tags.get(EXECUTION) == execution.identity]
    with store.asked("close a run"):
        for run_id in found:
            store.client.set_terminated(run_id, "KILLED")
    return found
