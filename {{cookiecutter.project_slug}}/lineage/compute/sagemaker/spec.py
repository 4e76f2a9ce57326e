"""The spec of a SageMaker job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..job_spec import JobSpec


@dataclass(frozen=True, kw_only=True)
class SageMakerSpec(JobSpec):
    """What launch.py and job.py need beside what every job does."""

    image_packages: list[str]  # built for the image's accelerators: a name, or the beginning of one (`-`)
    report: str  # S3 address that the report goes to
    install: str
    git: dict[str, str | None] | None  # what to clone, and with which credentials; None if the project is packed
    secret: str | None
    spark: dict[str, Any] | None  # where Spark runs in the job, see PIPELINE_SPARK; None if the stage does not use it
    pipeline: dict[str, Any] | None = None  # what a step of a pipeline needs, see pipelines/inside.py; None for others
