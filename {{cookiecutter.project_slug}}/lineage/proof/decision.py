"""One decision about an alias such as `champion`: which version has it from then on, who said so, and on what grounds.

A file in Git, promotions/MODEL/ALIAS-NUMBER.json. Files are only ever added: number 3 says what number 2 was, by its
SHA-256. Two people who decide at once both make number 3, so that Git finds the conflict when their branches meet. It
comes from Git, where anybody may have written it: what cannot be one is refused before it is believed or shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from ..base.documents import read_as
from ..base.errors import DamageError
from ..base.printable import printable
from ..settings.promotion import ALIAS

FOLDER = "promotions"
LIMIT = 2**20  # bytes: thousands of slices
LONGEST_TEXT, LONGEST_REASON = 4000, 2000  # characters
NAME = re.compile(rf"{FOLDER}/(?P<model>[^/]+)/(?P<alias>[^/]+)-(?P<number>\d{{4,}})\.json")

# what is asked before a version gets an alias; before it gets it back, the first two
GATES = ("verified", "consent", "weights", "thresholds", "comparison", "drift")
GATES_TO_GO_BACK = GATES[:2]

State = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _in_one_line(text: str) -> str:
    if printable(text) != text:
        raise ValueError("it holds line breaks, control characters or marks of direction")
    return text


OneLine = Annotated[str, AfterValidator(_in_one_line)]  # it is shown in terminals, pages and messages of commits
Text = Annotated[OneLine, Field(max_length=LONGEST_TEXT)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Version(_Strict):
    """A version as the decision was about it: a store may get another one of the same number."""

    number: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    identity: Hash  # of the model
    weights: Hash
    dataset: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]  # as DVC names it
    commit: Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]  # that holds the result


class Gate(_Strict):
    """What one gate answered, with its evidence. No id of a record or of a subject: Git keeps it for ever."""

    name: Annotated[str, Field(pattern=r"^[a-z]{1,30}$")]
    state: State
    text: Text
    figures: dict[str, Any]


class Accepted(_Strict):
    """Why gates that were INCONCLUSIVE did not stop it."""

    gates: Annotated[list[OneLine], Field(min_length=1)]
    reason: Annotated[OneLine, Field(min_length=1, max_length=LONGEST_REASON)]


class Asked(_Strict):
    """The section `promotion` of params.yaml, and its SHA-256 as canonical JSON."""

    sha256: Hash
    settings: dict[str, Any]


class Document(_Strict):
    """A whole decision. Without a `version`, nobody has the alias from then on."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    project_id: OneLine
    model: OneLine
    alias: Annotated[str, Field(pattern=rf"^{ALIAS}$")]
    number: Annotated[int, Field(ge=1)]
    previous: Hash | None  # SHA-256 of the file of the decision before
    kind: Literal["promote", "demote"]
    version: Version | None
    before: Version | None  # who had it, by the decision before
    by: Text  # as Git knows the person
    at: Annotated[AwareDatetime, Field(strict=False)]
    reason: Annotated[OneLine, Field(max_length=LONGEST_REASON)]  # of a demotion
    gates: list[Gate]
    accepted: list[Accepted]
    asked: Asked
    framework: OneLine  # version of the framework that judged

    @property
    def path(self) -> str:
        """The file that it belongs in, relative to the project."""
        return path_of(self.model, self.alias, self.number)

    def to_json(self) -> str:
        """The content of that file."""
        document = self.model_dump(mode="json", by_alias=True)
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def folder_of(model: str) -> str:
    """The folder with the decisions about a registered model."""
    return f"{FOLDER}/{quote(model, safe=' ')}"


def path_of(model: str, alias: str, number: int) -> str:
    """The file of a decision."""
    return f"{folder_of(model)}/{alias}-{number:04d}.json"


def sha256_of(text: str | bytes) -> str:
    """By which the next decision, and MLflow, name a file."""
    return sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def parse(data: bytes, path: str) -> Document:
    """The decision in a file. Raises DamageError if it is none, or another's."""
    if len(data) > LIMIT:
        raise DamageError(f"it is larger than {LIMIT} bytes")
    document = read_as(Document, data)
    if document.path != path:
        raise DamageError(f"it calls itself {document.path}")
    return document


def never_asked(document: Document) -> list[str]:
    """The gates that should have been asked before a decision, and were not."""
    if document.version is None:
        return []
    answered = {gate.name for gate in document.gates}
    return [name for name in (GATES if document.kind == "promote" else GATES_TO_GO_BACK) if name not in answered]


def never_opened(gates: Iterable[Gate], accepted: Iterable[Accepted]) -> list[str]:
    """The gates that should have stopped a decision: FAIL, or INCONCLUSIVE and not accepted."""
    let_through = {name for each in accepted for name in each.gates}
    not_passed = (gate for gate in gates if gate.state != "PASS")
    return [gate.name for gate in not_passed if gate.state == "FAIL" or gate.name not in let_through]
