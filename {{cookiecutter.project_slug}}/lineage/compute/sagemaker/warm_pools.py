"""Instances that are kept warm for the next Training job: which there are, and what they cost.

https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...base.errors import DispatchError
from ...base.translated import translate_errors
from .aws import Aws
from .tags import PROJECT_TAG

OPEN = ("Available", "InUse")


@dataclass(frozen=True)
class WarmPool:
    """The instances of one job. `billed` are seconds of an instance, of all of them together."""

    job: str
    status: str  # InUse, Available, Reused or Terminated
    instance_type: str
    instances: int
    minutes: int  # for which they are kept, once the job has ended well
    billed: int | None  # since it ended, as AWS says; None if it does not say
    until: str | None  # when they are given back, if nobody takes them before
    reused_by: str | None

    @property
    def text(self) -> str:
        """What there is to say of it."""
        kind = f"{self.instances} x {self.instance_type}"
        if self.status == "Reused":
            return f"{self.job}  {kind} went on to {self.reused_by}{self._cost}"
        if self.status == "Available":
            return f"{self.job}  {kind} wait for the next job until {self.until} and are billed meanwhile{self._cost}"
        if self.status == "InUse":
            return (
                f"{self.job}  {kind} work, and are billed for up to {self.minutes} minutes more when the job has ended"
            )
        return f"{self.job}  {kind} are given back{self._cost}"

    @property
    def _cost(self) -> str:
        return "" if self.billed is None else f"; {self.billed} seconds of an instance so far"


def pool_of(seen: Mapping[str, Any]) -> WarmPool | None:
    """That of a Training job as AWS describes it; None if none was asked for."""
    resources = seen.get("ResourceConfig") or {}
    kept, state = resources.get("KeepAlivePeriodInSeconds"), seen.get("WarmPoolStatus") or {}
    if not kept:
        return None
    instances, retained = int(resources.get("InstanceCount") or 1), state.get("ResourceRetainedBillableTimeInSeconds")
    ended = seen.get("TrainingEndTime")
    return WarmPool(
        job=str(seen.get("TrainingJobName")),
        status=str(state.get("Status") or "unknown"),
        instance_type=str(resources.get("InstanceType")),
        instances=instances,
        minutes=kept // 60,
        billed=None if retained is None else int(retained) * instances,
        until=(ended + timedelta(seconds=kept)).isoformat(timespec="seconds") if isinstance(ended, datetime) else None,
        reused_by=state.get("ReusedByJob"),
    )


def open_pools(aws: Aws, project_id: str) -> list[WarmPool]:
    """Those of this project that cost something now, by the tag of their jobs, whatever these are called."""
    client = aws.client("sagemaker")
    with translate_errors(DispatchError, "could not list the warm pools"):
        arns = {
            summary["TrainingJobName"]: summary["TrainingJobArn"]
            for status in OPEN
            for page in client.get_paginator("list_training_jobs").paginate(WarmPoolStatusEquals=status)
            for summary in page["TrainingJobSummaries"]
        }
        own = [name for name, arn in arns.items() if aws.tags_of(arn).get(PROJECT_TAG) == project_id]
        described = [client.describe_training_job(TrainingJobName=name) for name in own]
    pools = [pool for seen in described if (pool := pool_of(seen)) is not None]
    return [pool for pool in pools if pool.status in OPEN]


def give_back(aws: Aws, pool: WarmPool) -> None:
    """Ends a pool that waits; one in use ends with its job."""
    with translate_errors(DispatchError, f"could not give back the instances of {pool.job}"):
        aws.client("sagemaker").update_training_job(
            TrainingJobName=pool.job, ResourceConfig={"KeepAlivePeriodInSeconds": 0}
        )
