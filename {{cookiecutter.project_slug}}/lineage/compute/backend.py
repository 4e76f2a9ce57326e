"""Where stages run: a protocol, and which backend a stage gets by params.yaml or by a variable for one call.

A backend is one class with its settings as fields, which `_target_` names in a file of conf/compute/:

    train: cluster
    cluster:
      _target_: my_package.cluster.Cluster
      partition: gpu

What it starts elsewhere needs the code, a `JobSpec` (job_spec.py), and `run_stage` (inside.py); what comes back goes
through `Transfer` (transfer.py). `local` is always there; `lineage/compute/sagemaker/` is the example.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..base.env import PIPELINE_COMPUTE
from ..base.errors import SettingsError
from ..base.hosts import Hosts
from ..contract import Role, load
from ..settings.compute import TARGET, Compute

if TYPE_CHECKING:
    from ..dvc.dvcfile import Pipeline, Stage
    from ..run.callbacks import Execution
    from ..run.outputs import Inputs, Outputs
    from ..run.unfinished import Note

LOOK = "`lineage jobs` lists it, `lineage jobs --stop` stops it."
Work = Callable[["Outputs"], None]  # the stage's own work, in this process
Tell = Callable[[dict[str, str]], None]


class Attempt(Protocol):
    """One execution of a stage, prepared: all that could fail before it starts was looked at."""

    def run(self, outputs: Outputs, work: Work, check: Callable[[], None], tell: Tell) -> None:
        """Sees to it that `outputs` are written, by `work` or elsewhere.

        `tell` gets what is known of a job, for the tags of the stage's run, when it has started and when it has ended.
        `check` raises if nobody waits for the result any more. Raises a ProjectError if it cannot be done; what was
        started elsewhere is stopped then, or noted in `execution.unfinished`. What was reported elsewhere is put into
        `execution.reported`.
        """


@dataclass(frozen=True)
class JobState:
    """How a job is that somebody left behind, in a sentence."""

    text: str
    is_over: bool = False
    is_stopping: bool = False


def job_name(note: Note) -> str:
    """What a job is called that an execution has noted: before AWS has named it, the beginning of that."""
    job = note.job or {}
    return str(job.get("name") or f"{job.get('base', 'unknown')}...")


class Backend(Protocol):
    """A place where stages run. The example is `SageMaker` in sagemaker/backend.py."""

    is_elsewhere: ClassVar[bool]  # in another environment than this process: then no output is made here

    def prepare(self, execution: Execution, inputs: Inputs) -> Attempt:
        """Raises a ProjectError, before anything was started, if the stage cannot run there."""

    @classmethod
    def describe_job(cls, root: Path) -> dict[str, Any]:
        """Called inside of a job: what identifies it, as `tell` names it; `image_packages` beside it if its image has
        other packages than the lock in `root`, by name.
        """

    @classmethod
    def hosts(cls) -> Hosts:
        """Called inside of a job: the machines that do its work together. `Hosts()` is one."""

    @classmethod
    def look_after(cls, note: Note, *, stop: bool) -> JobState:
        """How the job of a note is that this backend has left in `execution.unfinished`; with `stop` it is stopped.

        Raises a ProjectError where it is out of reach.
        """


class Local:
    """This process."""

    is_elsewhere: ClassVar[bool] = False

    def prepare(self, execution: Execution, inputs: Inputs) -> Attempt:
        """There is nothing to prepare."""
        return self

    def run(self, outputs: Outputs, work: Work, check: Callable[[], None], tell: Tell) -> None:
        """The work itself."""
        work(outputs)

    @classmethod
    def describe_job(cls, root: Path) -> dict[str, Any]:  # noqa: ARG003
        """It has no jobs."""
        return {}

    @classmethod
    def hosts(cls) -> Hosts:
        """This machine."""
        return Hosts()

    @classmethod
    def look_after(cls, note: Note, *, stop: bool) -> JobState:  # noqa: ARG003
        """It has no jobs."""
        return JobState("there is no job", is_over=True)


LOCAL = "local"
HERE_ONLY = (Role.RAW, Role.CONSENT, Role.CHAIN)  # made from what only this machine need reach


def backend_for(compute: Compute, pipeline: Pipeline, stage: Stage) -> Backend:
    """The backend that runs a stage. Stages that `compute` does not name run here.

    Raises SettingsError if params.yaml or the variable names a stage or a backend that there is not.
    """
    there, known = {LOCAL, *compute.backends}, {each.module for each in pipeline.stages.values()}
    # a stage that was renamed or removed, and ran here, may still be named
    listed = {name: place for name, place in compute.stages.items() if place != LOCAL or name in known}
    chosen = _required(listed, pipeline, there, "compute")
    given = os.environ.get(PIPELINE_COMPUTE, "")
    if given and "=" not in given:
        chosen |= _required(dict.fromkeys(listed, given), pipeline, there, f"{PIPELINE_COMPUTE}={given}")
    elif given:
        chosen |= _required(_by_stage(given), pipeline, there, f"{PIPELINE_COMPUTE}={given}")
    name = chosen.get(stage.module, LOCAL)
    if name == LOCAL:
        return Local()
    section = compute.backends[name]
    backend: Backend = load(section[TARGET])(**{key: value for key, value in section.items() if key != TARGET})
    return backend


def _required(chosen: dict[str, str], pipeline: Pipeline, there: set[str], where: str) -> dict[str, str]:
    stages = {stage.module: stage for stage in pipeline.stages.values()}
    for stage, name in chosen.items():
        if stage not in stages:
            raise SettingsError(f"{where}: dvc.yaml has no stage {stage!r}; it has {', '.join(stages)}.")
        if name not in there:
            raise SettingsError(f"{where}: {stage} cannot run on {name!r}; there are {', '.join(sorted(there))}.")
        role = next((role for role in map(pipeline.role, stages[stage].outs) if role in HERE_ONLY), None)
        if role and name != LOCAL:
            raise SettingsError(f"{where}: {stage} runs here only, because it makes the {role}.")
    return dict(chosen)


def _by_stage(given: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in given.split(","))
    return {stage.strip(): name.strip() for stage, _, name in pairs}
