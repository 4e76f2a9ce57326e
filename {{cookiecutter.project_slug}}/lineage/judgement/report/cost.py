"""What it took to make the model: the runs of the stages that are not as they were before, and the jobs behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.errors import LineageError
from ...base.markdown import plain, table
from ...contract import Role
from ..diff.section import counted
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
    ran = [name for name, entry in b.recorded.lock.items() if entry != a.recorded.lock.get(name)]
    if not ran:
        return "nothing ran", []
    runs = _runs_of(b)
    found = {name: run for name in ran if (run := runs.get(name) or runs.get(name.partition("@")[0]))}
    if not found:
        raise LineageError("MLflow has no run of this model: its store may be on another machine")
    rows = [[plain(name), _where(run), _took(run), _billed(run)] for name, run in found.items()]
    jobs = [run for run in found.values() if _is_job(run)]
    known = [int(seconds) for run in jobs if (seconds := _billed(run)).isdecimal()]
    without = [name for name in ran if name not in found and _has_a_run(b, name)]
    line = f"{counted(len(jobs), 'job')}, {sum(known):,} s billed, for each instance" if jobs else "no job was paid for"
    if without and not jobs:
        line = "unknown"
    if len(known) < len(jobs):
        line += f", and of {counted(len(jobs) - len(known), 'job')} it is unknown"
    if without:
        line += f"; what {plain(', '.join(without))} took is in no finished run in MLflow"
    return line, [*table(["stage", "where", "took", "billed, s"], rows), *([NOTE] if jobs else [])]


def _runs_of(side: Side) -> dict[str, Run]:
    """The newest finished run of each stage that made the model of a side, by its hashes."""
    evidence, maker = side.evidence, side.pipeline.maker(Role.DATASET)
    training, data = str(side.run_record.get("run_id")), side.recorded.made(Role.DATASET)
    found = {}
    for run in sorted(evidence.store.runs.values(), key=lambda each: each.info.start_time):
        tags, stage = run.data.tags, str(run.data.tags.get("dvc_stage"))
        of_data = maker is not None and stage == maker.name and tags.get("dvc_data_md5") == data
        if run.info.status == "FINISHED" and (training in (run.info.run_id, tags.get("training_run_id")) or of_data):
            found[stage] = run
    return found


def _has_a_run(side: Side, name: str) -> bool:
    """Whether a stage tells MLflow of itself: those do that work with records. No other is a job."""
    stage = side.pipeline.stages.get(name)
    return stage is None or side.pipeline.works_with_records(stage)


def _is_job(run: Run) -> bool:
    return "sagemaker_job_name" in run.data.tags


def _billed(run: Run) -> str:
    seconds = str(run.data.tags.get("sagemaker_billable_seconds", "unknown"))
    return seconds if _is_job(run) else ""


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
