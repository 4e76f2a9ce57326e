"""Who is told what happens to a stage. The Hydra group `callbacks` says which ones take part."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings import Settings
from .dvcfile import Pipeline, Stage
from .given import Given

if TYPE_CHECKING:
    from ..compute.unfinished import Unfinished


@dataclass
class Execution:
    """One execution of one stage, as callbacks see it."""

    root: Path
    pipeline: Pipeline
    stage: Stage
    settings: Settings
    given: Given
    unfinished: Unfinished  # what is begun elsewhere is noted there, so that a kill does not make it forgotten
    run: dict[str, Any] = field(default_factory=dict)  # what identifies this execution; `train` keeps it in run.json
    is_sent_away: bool = False  # the work is done by a job elsewhere, in another environment
    is_in_job: bool = False  # this is that job: `run` was opened by who sent it, and is closed there


class Callback:
    """Does nothing: override what you need, and name the class in conf/callbacks/."""

    def on_start(self, execution: Execution) -> None:
        """Before the work. May fill `execution.run`."""

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        """Numbers from inside the work; `step` is the epoch, from 1, or None for the one final value."""

    def on_job(self, execution: Execution, facts: dict[str, str]) -> None:
        """What is known of the job that does the work: when it has started, and again when it has ended."""

    def on_end(self, execution: Execution) -> None:
        """After the outputs stand in their places."""

    def on_error(self, execution: Execution, error: BaseException) -> None:
        """After the work failed or was interrupted. No output was put in place."""


class Callbacks(Callback):
    """Several callbacks as one, told in the order of the configuration."""

    def __init__(self, members: list[Callback]) -> None:
        self.members = members

    @classmethod
    def from_settings(cls, settings: Settings) -> Callbacks:
        """Instantiates the `_target_` of each entry of `callbacks`, as Hydra does."""
        if not settings.callbacks:
            return cls([])
        from hydra.utils import instantiate

        return cls([instantiate(entry) for entry in settings.callbacks.values()])

    def on_start(self, execution: Execution) -> None:
        for member in self.members:
            member.on_start(execution)

    def on_metrics(self, execution: Execution, values: dict[str, float], step: int | None) -> None:
        for member in self.members:
            member.on_metrics(execution, values, step)

    def on_job(self, execution: Execution, facts: dict[str, str]) -> None:
        for member in self.members:
            member.on_job(execution, facts)

    def on_end(self, execution: Execution) -> None:
        for member in self.members:
            member.on_end(execution)

    def on_error(self, execution: Execution, error: BaseException) -> None:
        for member in self.members:
            member.on_error(execution, error)
