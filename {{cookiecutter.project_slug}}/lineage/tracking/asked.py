"""What goes wrong when a store is asked, in the words of the store itself."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..base.errors import TrackerError
from ..base.translated import translate_errors


class OneStore:
    """What is asked of one MLflow store, which messages call `shown_uri`."""

    shown_uri: str

    def asked(self, what: str) -> AbstractContextManager[None]:
        """Turns MLflow's and the network's errors into a TrackerError that says what was tried, and at which store."""
        return translate_errors(TrackerError, f"could not {what} at {self.shown_uri}", reason_of_store)


def reason_of_store(error: BaseException) -> str:
    """The first line of what a store, its driver or its object storage says."""
    said = _of_database(error) or error
    return (str(said).strip() or type(said).__name__).splitlines()[0][:300]


def _of_database(error: BaseException | None) -> object:
    """What the database itself said, which SQLAlchemy wraps in remarks of its own; None if it said nothing."""
    while error is not None:
        if said := getattr(error, "orig", None):
            return said
        error = error.__cause__ or error.__context__
    return None
