"""Callbacks: what is called when something happens to a stage. The Hydra group `callbacks` says which take part."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import SettingsError
from ..base.hosts import Hosts
from ..base.terminal import block
from ..contract import Role, load
from ..dvc.dvcfile import Pipeline, Stage
from ..settings import Settings
from ..settings.compute import TARGET
from .given import Given

if TYPE_CHECKING:
    from ..records.sharding import Engine
    from .checkpoints import Shelf
    from .unfinished import Unfinished

Numbers = list[tuple[dict[str, float], int | None]]  # values by name, and the step: the epoch, or None for final ones


@dataclass
class Execution:
    """One execution of one stage, as callbacks see it."""

    root: Path
    pipeline: Pipeline
    stage: Stage
    settings: Settings
    given: Given
    unfinished: Unfinished  # what is begun elsewhere is noted there, so that a kill does not make it forgotten
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)  # what each callback keeps, by its name in conf/
    job: dict[str, Any] = field(default_factory=dict)  # what identifies the job that this process is; empty outside
    is_dispatched: bool = False  # the work is done by a job elsewhere, in another environment
    is_collected: bool = False  # it was done earlier, by a job that has reported it to all callbacks itself
    started_from: dict[str, str] | None = None  # where a job started that nobody has sent who reports it; else None
    hosts: Hosts = field(default_factory=Hosts)  # the machines of this job
    checkpoints_at: Path | None = None  # in a job: the folder that outlives its machine, for the inputs of this one
    shelf: Shelf | None = None  # of checkpoints, where the work has asked for them
    engine: Engine | None = None  # what divides the work, where that is not the processes of this machine
    known: dict[str, Any] = field(default_factory=dict)  # facts that callbacks have asked for: see facts.py
    reported: Numbers = field(default_factory=list)  # what the work has reported, here or in its job

    @property
    def tracker(self) -> str:
        """The name of the callback whose run the chain names: the first that keeps one of MLflow's; empty if none does.

        The models are registered with MLflow, so its run is the one that is proved.
        """
        found = (name for name, part in self.parts.items() if {"run_id", "tracking_uri"} <= part.keys())
        return next(found, "")

    def runs_beside(self, name: str) -> dict[str, str]:
        """The runs of this execution in other trackers than the callback `name`: `mlflow_run_id`, for example."""
        others = {other: part for other, part in self.parts.items() if other != name and "run_id" in part}
        return {f"{other}_run_id": str(part["run_id"]) for other, part in others.items()}

    @property
    def trains(self) -> bool:
        """Whether the stage makes the model."""
        return self.stage == self.pipeline.maker(Role.MODEL)


class Callback:
    """Does nothing: override what you need, and name the class in conf/callbacks/.

    Where a job does the work, `on_start`, `on_end` and `on_error` are called where it was sent from, and
    `on_enter_job` and `on_leave_job` in the job. What a callback puts into `part(execution)` is there in both. One that
    does not work in jobs is called only where they are sent from: `on_metrics` when the job has ended well. A step of a
    pipeline is sent by nobody: there all are called in the job, as here, and one that does not work in jobs is not.
    """

    #: Its name in conf/callbacks.
    name = ""
    #: Whether the stage fails where this fails. Else there is a warning, and it is left out for the rest of the stage.
    is_required = False
    #: Whether a job elsewhere can do what it does: with the packages of requirements.lock, and no file of this machine.
    works_in_jobs = True

    def part(self, execution: Execution) -> dict[str, Any]:
        """What this callback keeps of an execution, as JSON can say it. The training writes it down.

        A tracker puts in the `run_id` of its run: runs in other trackers, and `lineage trace`, name it.
        """
        return execution.parts.setdefault(self.name, {})

    def on_start(self, execution: Execution) -> None:
        """Before the work."""

    def on_started(self, execution: Execution) -> None:
        """When `on_start` of all callbacks is over: what the others keep is known, in `execution.runs_beside`."""

    def on_enter_job(self, execution: Execution) -> None:
        """Before the work, in the job that does it."""

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        """Numbers from inside the work; `step` is the epoch, from 1, or None for the one final value."""

    def on_job(self, execution: Execution, facts: dict[str, str]) -> None:
        """What is known of the job that does the work: when it has started, and again when it has ended."""

    def on_engine(self, execution: Execution, facts: dict[str, str]) -> None:
        """What is known of the engine that has divided the work, when it is done; in a job as well."""

    def on_resumed(self, execution: Execution, facts: dict[str, str]) -> None:
        """What is known of interruptions before this execution, when the work is done; in a job as well."""

    def on_leave_job(self, execution: Execution, error: BaseException | None) -> None:
        """After the work in a job, well or with an error: whoever has sent the job reports that."""

    def on_end(self, execution: Execution) -> None:
        """After the outputs stand in their places."""

    def on_error(self, execution: Execution, error: BaseException) -> None:
        """After the work failed or was interrupted. No output was put in place."""


def _instantiate(entry: dict[str, Any]) -> Callback:
    """What Hydra's `instantiate` makes of an entry. Hydra itself takes 0.2 s to import, and most entries are plain."""
    arguments = {key: value for key, value in entry.items() if key != TARGET}
    is_plain = not any(key.startswith("_") or isinstance(value, dict | list) for key, value in arguments.items())
    if TARGET not in entry or not is_plain:
        from hydra.utils import instantiate

        made: Callback = instantiate(entry)
    else:
        made = load(str(entry[TARGET]))(**arguments)
    return made


def _works_in_jobs(entry: dict[str, Any]) -> bool:
    return TARGET not in entry or bool(getattr(load(str(entry[TARGET])), "works_in_jobs", True))


class Callbacks:
    """Several callbacks as one, called in the order of the configuration."""

    def __init__(self, members: list[Callback], *, is_in_job: bool) -> None:
        self._members = members
        self._is_in_job = is_in_job

    @classmethod
    def from_settings(cls, settings: Settings, *, is_in_job: bool, is_sent: bool = True) -> Callbacks:
        """Instantiates the `_target_` of each entry of `callbacks`, as Hydra does; in a job those that work there.

        A job that was not sent by somebody who reports what it does is reported whole from where it runs.
        """
        members: list[Callback] = []
        for name, entry in settings.callbacks.items():
            try:
                if is_in_job and not _works_in_jobs(entry):
                    continue
                member = _instantiate(entry)
            except SettingsError as error:
                raise SettingsError(f"callbacks.{name}: {error}") from error
            except Exception as error:
                why = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
                raise SettingsError(
                    f"callbacks.{name} cannot be made: {why}. Correct it in conf/callbacks/."
                ) from error
            member.name = name
            members.append(member)
        return cls(members, is_in_job=is_in_job and is_sent)

    def on_start(self, execution: Execution) -> None:
        if self._is_in_job:
            self._call("on_enter_job", execution, lambda member: member.on_enter_job(execution))
        else:
            self._call("on_start", execution, lambda member: member.on_start(execution))
            self._call("on_started", execution, lambda member: member.on_started(execution))

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        self._on_metrics(execution, values, step, self._members)

    def _on_metrics(
        self, execution: Execution, values: dict[str, float], step: int | None, members: list[Callback]
    ) -> None:
        self._call("on_metrics", execution, lambda member: member.on_metrics(execution, dict(values), step), members)

    def on_reported(self, execution: Execution) -> None:
        """Tells those that were not in the job what the work has reported there."""
        absent = [member for member in self._members if not member.works_in_jobs]
        for values, step in execution.reported:
            self._on_metrics(execution, values, step, absent)

    def on_job(self, execution: Execution, facts: dict[str, str]) -> None:
        self._call("on_job", execution, lambda member: member.on_job(execution, facts))

    def on_engine(self, execution: Execution, facts: dict[str, str]) -> None:
        self._call("on_engine", execution, lambda member: member.on_engine(execution, facts))

    def on_resumed(self, execution: Execution, facts: dict[str, str]) -> None:
        self._call("on_resumed", execution, lambda member: member.on_resumed(execution, facts))

    def on_end(self, execution: Execution) -> None:
        if self._is_in_job:
            self._call("on_leave_job", execution, lambda member: member.on_leave_job(execution, None))
        else:
            self._call("on_end", execution, lambda member: member.on_end(execution))

    def on_error(self, execution: Execution, error: BaseException) -> None:
        if self._is_in_job:
            self._call("on_leave_job", execution, lambda member: member.on_leave_job(execution, error))
        else:
            self._call("on_error", execution, lambda member: member.on_error(execution, error))

    def _call(
        self,
        what: str,
        execution: Execution,
        call: Callable[[Callback], None],
        members: list[Callback] | None = None,
    ) -> None:
        for member in list(self._members if members is None else members):
            if member not in self._members:
                continue
            try:
                call(member)
                json.dumps(member.part(execution))  # or the training would fail at its end, where that is written down
            except (Exception, SystemExit) as error:
                if member.is_required:
                    raise
                self._members.remove(member)
                execution.parts.pop(member.name, None)
                reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                print(
                    f"warning: the callback {member.name} failed in {what} ({block(reason)}) and is left out of the "
                    "rest of this stage.",
                    file=sys.stderr,
                )
