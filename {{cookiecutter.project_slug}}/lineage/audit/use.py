"""One thing that an audit looks at: a version, a run, a logged model, or a model that only Git holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ..contract import Role

if TYPE_CHECKING:
    from ..proof.git_models import GitModel


@dataclass
class Use:
    """What its model rests on, when it was made, and what of this is unknown."""

    kind: Literal["version", "run", "logged model", "model in Git"]
    name: str  # models:/NAME/NUMBER, the id of a run or a logged model, or what GitModel.title says
    stage: str  # of the run; `training` for a version
    role: Role | None  # what the stage makes, as the run says; None for a stage of one's own
    run_id: str = ""  # of the training run for a version
    datasets: set[str] = field(default_factory=set)  # as DVC names them
    started: datetime | None = None
    ended: datetime | None = None
    registered: datetime | None = None
    state: str = ""
    is_deleted: bool = False
    aliases: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    commit: str | None = None
    unknown: list[str] = field(default_factory=list)  # why it is unknown what it rests on
    left_no_model: bool = False
    root: str | None = None  # of the tree over the subjects, as MLflow claims it
    identity: str | None = None  # of its model, where Git holds that
    committed: datetime | None = None  # when Git first held its model
    contradictions: list[str] = field(default_factory=list)  # what cannot be right about its moments

    @property
    def title(self) -> str:
        """What it is called in answers."""
        if self.kind == "run":
            return f"run {self.name} ({self.stage})"
        return f"logged model {self.name}" if self.kind == "logged model" else self.name

    @property
    def moments(self) -> list[datetime]:
        """When it was made: as MLflow says; where MLflow knows nothing of it, when Git first held it."""
        moments = [moment for moment in (self.started, self.ended, self.registered) if moment is not None]
        return moments or ([self.committed] if self.committed else [])

    def is_after(self, since: datetime) -> bool:
        """Whether it was started, ended or registered at that moment or later."""
        moments = self.moments
        return bool(moments) and max(moments) >= since

    def add_git(self, model: GitModel | None) -> None:
        """Adds what Git says of its model: what that rests on, and when it was first held. Nothing without a model."""
        if model is not None:
            self.identity, self.committed = model.identity, model.first
            self.stage = self.stage if self.kind == "run" else model.stage
            self.datasets |= model.datasets
            self.unknown += [reason for reason in model.unknown if reason not in self.unknown]
