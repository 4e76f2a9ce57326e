"""The kinds of jobs, by the name that notes of unfinished ones keep."""

from __future__ import annotations

from ...base.errors import DispatchError
from ...base.translated import translate_errors
from .aws import Aws
from .jobs import Job
from .processing_jobs import ProcessingJob, SparkJob
from .training_jobs import TrainingJob

KINDS: dict[str, type[TrainingJob | ProcessingJob]] = {
    "training": TrainingJob,
    "processing": ProcessingJob,
    "spark": SparkJob,
}


def named(aws: Aws, kind: str, base: str) -> list[Job]:
    """The jobs of a kind whose names begin with `base`, as they are now."""
    with translate_errors(DispatchError, "could not list the jobs"):
        names = KINDS[kind].names(aws.client("sagemaker"), base)
    return [KINDS[kind](aws, name, "", "") for name in names if name.startswith(base)]
