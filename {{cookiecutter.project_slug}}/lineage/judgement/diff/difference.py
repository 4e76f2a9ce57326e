"""The whole answer of `lineage diff`, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...proof.case import Evidence
from ..predictions import Common
from .code import code
from .data import data
from .manifests import Compared
from .model import model
from .scores import flips, metrics
from .settings import environment, parameters
from .sides import Side, side_of

SECTIONS = ("code", "parameters", "environment", "data", "model", "metrics", "flipped records")
SCHEMA = 1


@dataclass
class Difference:
    """What differs between two sides."""

    a: Side
    b: Side
    document: dict[str, Any]  # for JSON: both sides, and `sections` by name
    records: Compared | None  # of the dataset versions; None where both have the same, or they are unknown
    both: Common | None  # predictions on the same records; None where one has none


def difference(evidence: Evidence, a: str, b: str, *, patch: bool = False) -> Difference:
    """What differs between what `a` and `b` name.

    Raises LineageError where one of them names nothing, several models, or a model that is in no commit.
    """
    one, other = side_of(evidence, a), side_of(evidence, b)
    of_data, records = data(one, other)
    measured, both = metrics(one, other)
    sections = {
        "code": code(one, other, patch=patch),
        "parameters": parameters(one, other),
        "environment": environment(one, other),
        "data": of_data,
        "model": model(one, other),
        "metrics": measured,
        "flipped records": flips(both),
    }
    document = {"schema": SCHEMA, "a": _side(one), "b": _side(other), "sections": sections}
    return Difference(one, other, document, records, both)


def _side(side: Side) -> dict[str, Any]:
    info = side.evidence.history.info(side.commit) if side.commit else None
    return {
        "asked": side.asked,
        "title": side.title,
        "commit": side.commit,
        "date": info.date if info else None,
        "author": info.author if info else None,
        "subject": info.subject if info else None,
        "identity": side.recorded.identity,
    }
