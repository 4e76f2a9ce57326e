"""What a certificate looks like. What does not look like it exactly is none."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from ..base.errors import LineageError
from ..base.strict_json import parse
from ..dvc.hashes import sha256_of_json
from ..records.ids import fault_of_id
from ..records.moments import read_moment

KIND = "exclusion of subjects"
SCHEMA = 2  # 1 did not cover the salt: whoever held a certificate could write another
SIZE = 32 << 20  # bytes, at most; scripts/check_certificate.py has the same limit
DEEPEST = 48  # the longest path: of more leaves than there can be


def _id(value: str) -> str:
    if fault := fault_of_id(value, "subject_id"):
        raise ValueError(fault)
    return value


def _moment(value: Any) -> datetime:
    moment = read_moment(value if isinstance(value, str) else "")
    if moment.tzinfo is None or moment.isoformat() != value:
        raise ValueError("it is no moment with a zone as Python writes it")
    return moment


def _once(values: list[str]) -> list[str]:
    if values != sorted(set(values)):
        raise ValueError("they are not sorted, or one is there twice")
    return values


Number = Annotated[int, Field(ge=0, lt=1 << DEEPEST)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Dataset = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}\.dir$")]
Commit = Annotated[str, StringConstraints(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$")]
Subject = Annotated[str, AfterValidator(_id)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Question(_Part):
    subjects: list[Subject] = Field(min_length=1)
    since: Moment


class Scope(_Part):
    store: str
    project: str


class Use(_Part):
    """A model version, a run, a logged model, or a model that Git alone holds: that one has a moment of Git's."""

    name: str
    state: str
    started: Moment | None
    ended: Moment | None
    registered: Moment | None
    committed: Moment | None
    datasets: Annotated[list[Dataset], AfterValidator(_once)]
    commit: Commit | None


class Leaf(_Part):
    position: Number
    key: Hash
    path: list[Hash] = Field(max_length=DEEPEST)


class Proof(_Part):
    subject: Subject
    steps: list[Leaf] = Field(max_length=2)


class Proved(_Part):
    """A dataset version with a proof for each subject."""

    md5: Dataset
    commit: Commit | None
    root: Hash
    salt: str
    subjects: Number
    proofs: list[Proof]


class Unproved(_Part):
    """A dataset version without a proof."""

    md5: Dataset
    commit: Commit | None
    unknown: str


LookedAt = Literal[
    "versions",
    "runs",
    "logged models",
    "models in Git",
    "models in Git alone",
    "results in Git",
    "results in Git alone",
    "stores",
    "dataset versions",
    "made since",
    "dataset versions since",
]


class Certificate(_Part):
    """All of it. Moments are as they were parsed."""

    kind: Literal["exclusion of subjects"]
    schema_: Annotated[int, Field(alias="schema", ge=SCHEMA, le=SCHEMA)]
    question: Question
    answer: Literal["PASSED", "FAILED", "INCONCLUSIVE"]
    reasons: list[str]
    scope: Scope
    looked_at: dict[LookedAt, Number] = Field(min_length=11)
    controls: Number
    copies: Number
    models: list[Use]
    without_model: list[Use]
    datasets: list[Proved | Unproved]
    moment: Moment
    commit: Commit
    tools: dict[str, str]
    digest: Hash


def read(path: Path) -> dict[str, Any]:
    """The document. Raises LineageError if it cannot be one."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE + 1)
        if len(data) > SIZE:
            raise ValueError(f"it has more than {SIZE >> 20} MB")
        document = parse(data, whole_numbers=True)
    except (OSError, ValueError) as error:
        raise LineageError(f"{path} is no certificate: {error}.") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise LineageError(f"{path} is no certificate: it does not say that it is one of the {KIND}.")
    return document


def fault_of_form(document: dict[str, Any]) -> str | None:
    """In what a document does not look like a certificate, in words."""
    schema = document.get("schema")
    if document.get("kind") == KIND and type(schema) is int and schema < SCHEMA:
        return "it is of an old form, whose proofs can be forged. `lineage audit excluded` writes a new one"
    try:
        Certificate.model_validate(document)
        sha256_of_json(document)
    except UnicodeEncodeError:
        return "it holds an invalid Unicode character (lone surrogate)"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        return f"{where}: {re.sub('^Value error, ', '', first['msg'])}"
    return None
