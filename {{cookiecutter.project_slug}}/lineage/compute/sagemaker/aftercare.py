"""What became of a job that somebody left behind."""

from __future__ import annotations

from ...run.unfinished import Note
from ..backend import LOOK, JobState, job_name
from . import jobs, kinds
from .aws import Aws

NEWS = 120  # seconds after which a job that was begun must be among those that AWS lists


def look_after(note: Note, *, stop: bool) -> JobState:
    """How the job of a note is; with `stop` it is asked to stop. Raises DispatchError where AWS is out of reach."""
    called, stage, noted = job_name(note), note.stage, note.job or {}
    aws = Aws(region=str(noted.get("region") or ""), is_hasty=True)
    here, there = aws.account, noted.get("account")
    if here and there and here != there:
        return JobState(f"job {called} of {stage} runs in account {there}, and these credentials are of {here}: {LOOK}")
    found = kinds.named(aws, str(noted.get("kind")), str(noted.get("base")))
    if not found:
        return _not_found(note, sure=bool(here and there))
    going_on = [job for job in found if job.status not in jobs.ENDED]
    if not going_on:
        return JobState(f"job {called} of {stage} is over ({found[0].status}).", is_over=True)
    working = [job for job in going_on if job.status != "Stopping"]
    if not working:
        return JobState(f"job {called} of {stage} is being stopped. `lineage jobs` looks again.", is_stopping=True)
    if not stop:
        text = f"job {called} of {stage} is {working[0].status} and nobody waits for it. `lineage jobs --stop`."
        return JobState(text)
    for job in working:
        job.stop()
    return JobState(f"job {called} of an earlier {stage}, which nobody waits for, is asked to stop.", is_stopping=True)


def _not_found(note: Note, *, sure: bool) -> JobState:
    called = job_name(note)
    if not sure:
        return JobState(
            f"job {called} of {note.stage} is not among those that these credentials show, and whose it is is not "
            f"known. When it is over, `lineage jobs --forget {note.name}`."
        )
    if note.age < NEWS:
        return JobState(f"whether job {called} of {note.stage} was started is not known yet. {LOOK}")
    return JobState(f"job {called} of {note.stage} is not there: it was never started, or is over.", is_over=True)
