"""What jobs have left: their logs, instances that are kept warm, and what went to them and came from them by S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..compute.job_spec import FILE
from ..compute.sagemaker.jobs import ENDED
from ..compute.sagemaker.warm_pools import pool_of
from .found import Found
from .left import Left, below, young
from .logs import log_of
from .stored import Stored, group, listed

KINDS = {"training-job": "Training", "processing-job": "Processing"}
OF_PIPELINES = "pipelines-"  # how SageMaker begins the names of the jobs of executions
MOST_SPEC = 2**20  # bytes


@dataclass(frozen=True)
class Job:
    """One job as AWS says it is."""

    kind: str  # Training or Processing
    said: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.said[f"{self.kind}JobName"])

    @property
    def status(self) -> str:
        return str(self.said[f"{self.kind}JobStatus"])

    def kept(self, days: float) -> str:
        """Why everything of it stays; empty if it may go."""
        if self.status not in ENDED:
            return f"the job is {self.status}"
        return young(self.said.get(f"{self.kind}EndTime") or self.said.get("LastModifiedTime"), days, "the job ended")

    def objects_kept(self, days: float, *, pipelines_stay: bool) -> str:
        """Why its objects stay; empty if they may go."""
        if self.name.startswith(OF_PIPELINES) and self.status == "Completed":
            return "part of a pipeline's execution, whose reports `lineage pipeline collect` reads"
        if self.name.startswith(OF_PIPELINES) and pipelines_stay:
            return "a pipeline that stays may run its code again"
        return self.kept(days)

    def places(self) -> Iterator[str]:
        """The S3 addresses of its own that its request names: code, outputs and checkpoints, not the data."""
        for channel in self.said.get("InputDataConfig") or []:
            yield str((channel["DataSource"].get("S3DataSource") or {}).get("S3Uri") or "")
        for given in self.said.get("ProcessingInputs") or []:
            yield str((given.get("S3Input") or {}).get("S3Uri") or "")
        if path := (self.said.get("OutputDataConfig") or {}).get("S3OutputPath"):
            yield f"{str(path).rstrip('/')}/{self.name}"
        yield str((self.said.get("CheckpointConfig") or {}).get("S3Uri") or "")


def of_jobs(found: Found, protected: tuple[str, ...], days: float, *, pipelines_stay: bool) -> list[Left]:
    """The logs, waiting instances and objects of this project's jobs. What lies below `protected` is left out.

    A pipeline that stays runs the code again that the jobs of its earlier executions had.
    """
    jobs = list(_jobs(found))
    left = [log for job in jobs if (log := _log(found, job, days)) is not None]
    left += [pool for job in jobs if (pool := waiting_pool(job)) is not None]
    stay = {place for job in jobs if job.objects_kept(days, pipelines_stay=pipelines_stay) for place in job.places()}
    for job in jobs:
        objects = list(_objects(found, job, protected))
        if objects:
            kept = job.objects_kept(days, pipelines_stay=pipelines_stay)
            of_job = group(found, "objects", f"job {job.name}", objects, kept)
            addresses = tuple(address for address in of_job.addresses if kept or not below(stay, address))
            left.append(replace(of_job, addresses=addresses))
    return left


def _jobs(found: Found) -> Iterator[Job]:
    for type_, kind in KINDS.items():
        for name in found.names[type_]:
            operation = f"describe_{kind.lower()}_job"
            said = found.described("job", operation, **{f"{kind}JobName": name})
            if said is not None:
                yield Job(kind, said)


def _log(found: Found, job: Job, days: float) -> Left | None:
    """The log of a job. That of one which ended well says how a model was made, and stays."""
    kept = job.kept(days) or (
        "the job ended well: its log says how a model was made" if job.status == "Completed" else ""
    )
    return log_of(found, f"job {job.name}", f"{job.kind}Jobs", kept, f"{job.name}/")


def waiting_pool(job: Job) -> Left | None:
    """The instances of a job that wait for the next one: billed like those that work. None if there are none."""
    pool = pool_of(job.said)
    if pool is None or pool.status != "Available":
        return None
    billed = "" if pool.billed is None else f", {pool.billed} seconds of an instance so far"
    kept = f"it waits for the next job until {pool.until}. `lineage aws warm-pools --end` gives it back"
    return Left(
        "warm-pool", f"job {job.name}", f"{pool.instances} x {pool.instance_type}{billed}", kept, usd_month=None
    )


def _objects(found: Found, job: Job, protected: tuple[str, ...]) -> Iterator[Stored]:
    """Each object of a job below the address of the settings, its report included."""
    ours = found.aws.address()
    for place in job.places():
        if not below([ours], place) or place.rstrip("/") == ours:
            continue
        for each in listed(found, place):
            if below(protected, each.address):
                continue
            yield each
            if each.address.endswith(f"/{FILE}") and each.size < MOST_SPEC:
                yield from _report(found, each.address, protected)


def _report(found: Found, spec: str, protected: tuple[str, ...]) -> Iterator[Stored]:
    address = report_of(found.aws.read(spec, MOST_SPEC) or b"{}")
    if below([found.aws.address()], address) and not below(protected, address):
        yield from listed(found, address)


def report_of(spec: bytes) -> str:
    """The address that a job's specification names for its report; empty if it names none, or is no specification.

    Whoever may write to the bucket may have put it there: what is then at the address stays, and is named.
    """
    try:
        said = json.loads(spec)
    except ValueError:
        return ""
    return str(said.get("report") or "") if isinstance(said, dict) else ""
