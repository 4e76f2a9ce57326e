"""What it took to make the model: the runs of the stages that are not as they were before, and the jobs behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.errors import LineageError
from ...base.markdown import plain, table
from ...contract import Role
from ...proof.case import Evidence
from ..diff.sides import Side

if TYPE_CHECKING:
    from mlflow.entities import Run

HERE = "no job: the machine that ran dvc"
NOTE = (
    "Seconds are those of each instance of a job. What one costs depends on instance and region, and is not known "
    "here: AWS Cost Explorer sums it by the tag lineage:project_id."
)


def cost(a: Side, b: Side) -> tuple[str, list[str]]:
    """A line and a table: for each stage that ran otherwise than for A, how long it took and what is billed.

    Raises TrackerError if MLflow cannot be asked, LineageError if its runs are not there.
    """
    anew = [name for name, entry in b.recorded.lock.items() if entry != a.recorded.lock.get(name)]
    if not anew:
        return "nothing ran", []
    runs = {str(run.data.tags.get("dvc_stage")): run for run in _runs_of(b)}
    if not runs:
        raise LineageError("MLflow has no run of this model: its store may be on another machine")
    rows, billed, jobs = [], 0, 0
    for name in anew:
        run = runs.get(name) or runs.get(name.partition("@")[0])
        if run is None:
            continue
        tags = run.data.tags
        seconds = tags.get("sagemaker_billable_seconds")
        jobs += "sagemaker_job_name" in tags
        billed += int(seconds) if seconds and seconds.isdecimal() else 0
        rows.append([plain(name), _where(run), _took(run), seconds or ("unknown" if _is_job(run) else "")])
    without = f"; stages without a run of their own: {', '.join(x for x in anew if x not in {r[0] for r in rows})}"
    line = f"{jobs} jobs, {billed} s billed for each of their instances" if jobs else "no job was paid for"
    line += without if len(rows) < len(anew) else ""
    return line, [*table(["stage", "where", "took", "billed, s"], rows), *([NOTE] if jobs else [])]


def _runs_of(side: Side) -> list[Run]:
    """The newest finished run of each stage that made the model of a side, by its hashes."""
    evidence: Evidence = side.evidence
    training = str(side.run_record.get("run_id"))
    data = side.recorded.made(Role.DATASET)
    found = {}
    for run in sorted(evidence.store.runs.values(), key=lambda each: each.info.start_time):
        tags = run.data.tags
        of_data = data is not None and tags.get("dvc_data_md5") == data and "dvc_run_md5" not in tags
        if run.info.status == "FINISHED" and (training in (run.info.run_id, tags.get("training_run_id")) or of_data):
            found[tags.get("dvc_stage")] = run
    return list(found.values())


def _is_job(run: Run) -> bool:
    return "sagemaker_job_name" in run.data.tags


def _where(run: Run) -> str:
    tags = run.data.tags
    if not _is_job(run):
        return HERE
    spot = ", spot" if tags.get("sagemaker_spot") == "true" else ""
    return plain(f"{tags['sagemaker_job_name']} ({tags.get('sagemaker_instance_type', 'unknown instance')}{spot})")


def _took(run: Run) -> str:
    if run.info.end_time is None:
        return "unknown"
    return f"{(run.info.end_time - run.info.start_time) / 1000:.0f} s"
