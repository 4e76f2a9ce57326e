"""The backend `sagemaker`. What only a job needs is imported when there is one: other stages start without it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...base.collector import collect_rarely
from ...base.env import PIPELINE_COLLECTED
from ...base.hosts import Hosts
from ..backend import Attempt, JobState
from .settings import SageMakerSettings

if TYPE_CHECKING:
    from ...run.callbacks import Execution
    from ...run.outputs import Inputs
    from ...run.unfinished import Note


class SageMaker(SageMakerSettings):
    """Runs a stage as a SageMaker job."""

    is_elsewhere: ClassVar[bool] = True

    def prepare(self, execution: Execution, inputs: Inputs) -> Attempt:
        """A SageMaker job, or what one has made in a pipeline that is collected.

        Raises DispatchError, before anything was started, if it cannot be.
        """
        if folder := os.environ.get(PIPELINE_COLLECTED):
            from .pipelines.collected import Collected

            return Collected(execution, inputs, Path(folder))
        collect_rarely()  # this process does nothing but send the job and wait for it
        from .dispatch import Dispatch

        return Dispatch(self, execution, inputs)

    @classmethod
    def describe_job(cls, root: Path) -> dict[str, Any]:
        """Name and ARN of the job that this process is part of, and the torch packages of its image that count."""
        from .job import describe

        return describe(root)

    @classmethod
    def hosts(cls) -> Hosts:
        """The instances of the job that this process is part of."""
        from .job import hosts

        return hosts()

    @classmethod
    def look_after(cls, note: Note, *, stop: bool) -> JobState:
        """How the job of a note is; it is asked to stop with `stop`."""
        from .aftercare import look_after

        return look_after(note, stop=stop)
