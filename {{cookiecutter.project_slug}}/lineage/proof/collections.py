"""What `lineage gc` has deleted: a file in Git for each time, collected/ID.json, committed before anything goes.

It explains to whoever misses an object what became of it. It excuses nothing: a model whose objects are gone cannot be
proved, whoever deleted them. It comes from Git, where anybody may have written it; what cannot be one is passed over.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ..base.documents import read_as
from ..base.errors import DamageError
from ..base.printable import printable
from ..git.changes import changes_below
from ..git.history import History
from .tombstones import Md5

FOLDER = "collected"
LIMIT = 64 * 2**20  # bytes: a million objects


class Document(BaseModel):
    """One collection."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    id: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,100}$")]
    moment: Annotated[AwareDatetime, Field(strict=False)]
    by: Annotated[str, Field(max_length=1000)]  # as Git knows the person
    reason: Annotated[str, Field(max_length=2000)]
    places: list[str]  # what was to be deleted from
    ends: list[str]  # the models that cannot be proved any more
    objects: dict[Md5, str]  # what named each; empty where nothing did

    @property
    def path(self) -> str:
        """The file that it belongs in, relative to the project."""
        return f"{FOLDER}/{self.id}.json"

    @property
    def title(self) -> str:
        """What it is called in answers."""
        day = self.moment.isoformat(timespec="seconds")
        return f"`lineage gc` on {day} by {printable(self.by)}: {printable(self.reason)} ({self.path})"


def parse(data: bytes, path: str) -> Document:
    """The collection in a file. Raises DamageError if it is none, or another's."""
    if len(data) > LIMIT:
        raise DamageError(f"{path} is larger than {LIMIT} bytes")
    try:
        document = read_as(Document, data)
    except DamageError as error:
        raise DamageError(f"{path}: {error}") from None
    if document.path != path:
        raise DamageError(f"{path} calls itself {printable(document.path)}")
    return document


class Collections:
    """All that a branch, a tag or HEAD holds, oldest first."""

    def __init__(self, history: History) -> None:
        self._history = history

    @cached_property
    def all(self) -> list[Document]:
        found = dict[str, Document]()
        for change in reversed(changes_below(self._history.git, (f"{FOLDER}/*.json",))):
            if change.status == "A":
                with suppress(DamageError):
                    found[change.path] = parse(self._history.blob(change.blob), change.path)
        return sorted(found.values(), key=lambda each: each.moment)

    def of_object(self, md5: str) -> Document | None:
        """The last one that deleted an object, or was about to; None if none did."""
        return next((each for each in reversed(self.all) if md5 in each.objects), None)
