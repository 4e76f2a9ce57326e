"""The shared callback: one MLflow run for each execution of a stage, with the lineage facts known by then."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from typing import Any

from ..base.errors import LineageError
from ..base.terminal import block
from ..chain.facts import CONTEXTS, IN_JOB, read_run_record
from ..chain.packages import LOCK, installed
from ..contract import Role
from ..git.anchor import main_root
from ..records.layout import MANIFEST
from ..tracking.shared import Runs, open_tracker
from ..tracking.tracker import Tracker, source_tags
from .callbacks import Callback, Execution
from .facts import (
    Facts,
    counts_of,
    environment_facts,
    facts_at_end,
    facts_at_start,
    role_of,
    started_from,
    without_ids,
)
from .pictures import pictures

PICTURES = "pictures"  # the folder of the plots as pictures, beside that of their tables
PENDING_METRICS = 1000  # kept for later while the tracker is down


class MLflowCallback(Callback):
    """Logs stage runs to the store that `tracking` names.

    What the lineage rests on is logged or the stage fails. A metric that cannot be logged is kept and tried again with
    the next one, with a warning.
    """

    is_required = True

    def __init__(self) -> None:
        self._tracker: Runs | None = None
        self._run_id = ""
        self._pending: list[tuple[dict[str, float], int | None, int]] = []  # values, step, milliseconds since 1970
        self._told_before: set[tuple[str, int]] = set()  # metrics by name and step, of this run before this process
        self._not_before = 0.0  # when metrics are tried again

    def on_start(self, execution: Execution) -> None:
        if not execution.pipeline.works_with_records(execution.stage):
            return
        facts = facts_at_start(execution)
        # a job has no other stages that would share one
        opened = Tracker if execution.job else open_tracker
        tracker: Runs = opened(execution.settings.tracking, main_root(execution.root))
        tags = {**facts.tags, **source_tags(), **_parent_tags(tracker, execution), "lineage_status": "pending"}
        name = " ".join(filter(None, (execution.stage.name, facts.tags.get("dvc_exp_name"))))
        self._run_id = tracker.start(name, tags)
        self._tracker = tracker
        self.part(execution).update(_identity(tracker, self._run_id, facts))
        execution.unfinished.begin(self._note, {"run_id": self._run_id, "tracking_uri": tracker.shown_uri})
        tracker.params(self._run_id, {**facts.params, **_data_commit_param(facts)})
        self._log_inputs(tracker, execution, facts)

    def on_started(self, execution: Execution) -> None:
        if self._tracker is not None and (beside := execution.runs_beside(self.name)):
            self._tracker.tags(self._run_id, beside)

    @property
    def _note(self) -> str:
        """What the run is called in the notes of unfinished executions: there may be two trackers."""
        return f"run of {self.name}"

    def on_enter_job(self, execution: Execution) -> None:
        part = self.part(execution)
        if "run_id" not in part:
            return
        tracker = Tracker(execution.settings.tracking, main_root(execution.root))
        self._tracker, self._run_id = tracker, str(part["run_id"])
        self._told_before = tracker.points(self._run_id)
        if LOCK in execution.stage.deps:
            environment = environment_facts(execution.root, execution.job.get("image_packages"))
            tracker.tags(self._run_id, environment)
            differs = {key: value for key, value in environment.items() if key == "environment_differs"}
            part["started_from"] = {**part.get("started_from", {}), **differs}
        self._log_packages(tracker, execution)

    def on_job(self, execution: Execution, facts: dict[str, str]) -> None:
        if self._tracker is not None:
            self._tracker.wait()
            self._tracker.tags(self._run_id, {**facts, IN_JOB: "true"})

    def on_engine(self, execution: Execution, facts: dict[str, str]) -> None:
        if self._tracker is not None:
            self._tracker.wait()
            self._tracker.tags(self._run_id, facts)

    def on_resumed(self, execution: Execution, facts: dict[str, str]) -> None:
        if self._tracker is not None:
            self._tracker.wait()
            self._tracker.tags(self._run_id, facts)

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        if self._tracker is None:
            return
        # a job that was interrupted goes on in the same run, and tells again of all epochs
        new = {key: value for key, value in values.items() if (key, step or 0) not in self._told_before}
        if not new:
            return
        self._add(new, step)
        if time.monotonic() >= self._not_before:
            self._flush()

    def on_end(self, execution: Execution) -> None:
        tracker = self._tracker
        if tracker is None:
            return
        tracker.wait()
        facts = facts_at_end(execution)
        tracker.tags(self._run_id, facts.tags)
        if Role.DATASET in facts.contents:
            self._add(counts_of(execution.root / facts.contents[Role.DATASET][0]))
        if (profile := execution.pipeline.path(Role.PROFILE)) in execution.stage.outs:
            tracker.artifact(self._run_id, execution.root / str(profile))
        for path in execution.stage.reports:
            tracker.artifact(self._run_id, execution.root / path, path.split("/")[0])
        for name, picture in pictures(execution.root, execution.stage).items():
            tracker.text(self._run_id, picture, f"{PICTURES}/{name}")
        if (record := execution.pipeline.path(Role.RUN)) in execution.stage.outs:
            tracker.artifact(self._run_id, execution.root / str(record))
        self._flush()
        self._require_all_metrics(tracker)
        tracker.end(self._run_id, "FINISHED")
        execution.unfinished.end(self._note)

    def on_leave_job(self, execution: Execution, error: BaseException | None) -> None:
        if self._tracker is None:
            return
        try:
            if error is None:
                self._tracker.wait()
            else:
                self._tracker.require_answer()
            self._flush()
            if error is None:
                self._require_all_metrics(self._tracker)
        except LineageError as failure:
            if error is None:
                raise
            print(f"{execution.stage.name}: {block(str(failure))}", file=sys.stderr)  # the error itself matters more

    def on_error(self, execution: Execution, error: BaseException) -> None:
        if self._tracker is None:
            return
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        try:
            # for whoever comes next, if it cannot be closed now
            noted = {"run_id": self._run_id, "tracking_uri": self._tracker.shown_uri, "status": status}
            execution.unfinished.begin(self._note, noted)
            self._tracker.require_answer()
            self._flush()
            self._tracker.tags(self._run_id, {"error": without_ids(error)[:5000]})
            self._tracker.end(self._run_id, status)
            execution.unfinished.end(self._note)
        except LineageError as failure:  # the error itself matters more
            later = "The run is closed by whatever stage runs next, or by `lineage jobs`."
            print(f"{execution.stage.name}: {block(str(failure))} {later}", file=sys.stderr)

    def _log_inputs(self, tracker: Runs, execution: Execution, facts: Facts) -> None:
        if Role.DATASET in facts.contents:
            path, dataset = facts.contents[Role.DATASET]
            source = {"path": path, "md5": dataset.md5, "sha256": dataset.sha256, "size": dataset.size}
            role = role_of(execution)
            context = CONTEXTS.get(role, execution.stage.name) if role else execution.stage.name
            tracker.dataset(self._run_id, execution.settings.data.source.name, dataset.md5, json.dumps(source), context)
            tracker.artifact(self._run_id, execution.root / path / MANIFEST)
        if not execution.is_dispatched:
            self._log_packages(tracker, execution)

    def _log_packages(self, tracker: Runs, execution: Execution) -> None:
        packages = "".join(f"{name}=={version}\n" for name, version in installed().items())
        tracker.text(self._run_id, packages, "packages.txt")
        self.part(execution)["packages_sha256"] = hashlib.sha256(packages.encode()).hexdigest()

    def _require_all_metrics(self, tracker: Runs) -> None:
        if self._pending:
            raise LineageError(f"{len(self._pending)} metrics could not be logged to {tracker.shown_uri}.")

    def _add(self, values: dict[str, float], step: int | None = None) -> None:
        self._pending.append((values, step, time.time_ns() // 1_000_000))

    def _flush(self) -> None:
        assert self._tracker is not None
        begun = time.monotonic()
        try:
            while self._pending:
                self._tracker.metrics(self._run_id, *self._pending[0])
                self._pending.pop(0)
        except LineageError as failure:
            del self._pending[:-PENDING_METRICS]
            # a training must not spend its time on waiting for a server
            self._not_before = time.monotonic() + 4 * (time.monotonic() - begun)
            print(f"warning: {block(str(failure))}. It is tried again with the next metric.", file=sys.stderr)


def _identity(tracker: Runs, run_id: str, facts: Facts) -> dict[str, Any]:
    """What the record of a training keeps of its run: a cached stage leads back to it, with MLflow gone as well."""
    return {
        "run_id": run_id,
        "tracking_uri": tracker.shown_uri,
        "experiment": tracker.settings.experiment,
        "started_from": started_from(facts),
    }


def _parent_tags(tracker: Runs, execution: Execution) -> dict[str, str]:
    """Makes a run of a stage after training a child of the training run, if that run is in this store."""
    path = execution.pipeline.path(Role.RUN)
    if path not in execution.stage.deps:
        return {}
    training = read_run_record(execution.root / str(path)).get("run_id")
    if not training:
        return {}
    parent = {"mlflow.parentRunId": training} if tracker.has_run(training) else {}
    return {**parent, "training_run_id": training}


def _data_commit_param(facts: Facts) -> dict[str, str]:
    # a parameter cannot be changed any more; facts come from branches and tags only, where commits stay
    commit = facts.tags.get("data_git_commit_id")
    return {"data_git_commit_id": commit} if commit else {}
