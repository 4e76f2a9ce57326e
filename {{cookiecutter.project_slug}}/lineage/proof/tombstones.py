"""What a tombstone.json may look like. It comes from Git, where anybody may have written it: nothing of it is believed
because it is there, and what cannot be one is refused before it costs memory or reaches a terminal.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ..base.documents import read_as
from ..base.errors import DamageError

SCHEMA = 1
LIMIT = 32 * 2**20  # bytes: three hundred thousand objects

Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Named(_Strict):
    """One object of DVC."""

    md5: Md5
    path: str


class Dataset(_Strict):
    """What is left of a dataset version from which subjects were erased."""

    md5: Md5
    root: Hash
    salt: str
    keys: Annotated[list[Hash], Field(min_length=1)]  # nobody was erased from it: then it does not belong here
    redacted: Md5


class Document(_Strict):
    """A whole tombstone."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,100}$")]
    moment: Annotated[AwareDatetime, Field(strict=False)]
    reason: Annotated[str, Field(max_length=2000)]
    objects: list[Named]
    not_found: list[Named]  # what it could not delete, because nobody knew where it was
    datasets: list[Dataset]
    models: list[str]


def parse(data: bytes, folder: str) -> Document:
    """The tombstone in a folder of this name. Raises DamageError if it is none."""
    document = read_as(Document, data)
    if document.id != folder:
        raise DamageError(f"it calls itself {document.id}")
    if len({item.md5 for item in document.datasets}) < len(document.datasets):
        raise DamageError("it names a dataset version twice")
    return document
