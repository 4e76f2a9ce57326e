"""Errors that are shown to a person: one or two sentences that say what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class ProjectError(Exception):
    """A mistake or a circumstance that the person at the keyboard can fix. Shown without a traceback.

    `fix` says what to do now, where that is one short thing: an answer ends with it.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        self.fix = fix
        super().__init__(message)

    @property
    def without_ids(self) -> str | None:
        """What may be kept where others read it for years, MLflow for example; None if it may name a subject."""
        return str(self)


class SettingsError(ProjectError):
    """params.yaml holds a key or a value that the pipeline cannot work with."""


class StaleParamsError(ProjectError):
    """conf/ was edited after params.yaml was composed from it."""


class StageRunningError(ProjectError):
    """Another process is running this very stage in this very folder."""


class UndeclaredError(ProjectError):
    """A stage uses a file, a setting or a module that dvc.yaml does not list for it."""


class ChangedError(ProjectError):
    """What a stage works with was changed while it worked."""


class AbandonedError(ProjectError):
    """The dvc that started this stage is gone, so nobody waits for its outputs."""


class DataError(ProjectError):
    """The data cannot be used as they are. The message may name records, subjects, and files called after them."""

    @property
    def without_ids(self) -> str | None:
        return None


class UnreadableImagesError(DataError):
    """Images of raw records cannot be decoded."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self.reasons = reasons  # by record_id
        more = [f"and {len(reasons) - 5} more"] if len(reasons) > 5 else []
        self.shown = "; ".join([*list(reasons.values())[:5], *more])
        super().__init__(
            f"{len(reasons)} image{'s' * (len(reasons) > 1)} cannot be read: {self.shown}. Repair or remove them, or "
            "leave them out with data.on_bad_record=skip."
        )

    @property
    def without_ids(self) -> str | None:
        return f"{len(self.reasons)} image{'s' * (len(self.reasons) > 1)} cannot be read."


class NetworkError(ProjectError):
    """A network does not fit the data, its settings, or what training needs of it."""


class LineageError(ProjectError):
    """A hash, a commit or a run that the lineage rests on is missing or is not what it should be."""


class NotCommittedError(LineageError):
    """The model lies here and no commit holds it yet."""


class DamageError(LineageError):
    """Bytes are not what their hash promises."""


class TrackerError(LineageError):
    """A tracker cannot be reached or refuses what is asked of it."""


class PromotionError(ProjectError):
    """A decision about an alias is refused, whatever its gates would say."""


class RankError(ProjectError):
    """One of the processes that do a stage's work together has failed. The message holds what it said."""

    def __init__(self, message: str, *, kept: str) -> None:
        self._kept = kept
        super().__init__(message)

    @property
    def without_ids(self) -> str | None:
        return self._kept


class DispatchError(ProjectError):
    """A stage cannot be sent to SageMaker, or its job did not bring back what it must."""

    @property
    def without_ids(self) -> str | None:
        return str(self).partition(": ")[0]  # what follows are words of the job, and of the stage in it


class ServingError(ProjectError):
    """A version may not serve, or cannot: its files, its program, or the endpoint are not as they must be."""


class MirrorError(ProjectError):
    """SageMaker's own registry or lineage cannot be asked or changed, or what is there is not this project's."""


class ConsentError(ProjectError):
    """It cannot be shown that every subject has consented."""


class RegistryError(ConsentError):
    """The consent registry cannot be read, or cannot be right."""


def or_none(ask: Callable[[], T]) -> T | None:
    """What `ask` answers; None where a ProjectError says that it cannot be known."""
    try:
        return ask()
    except ProjectError:
        return None
