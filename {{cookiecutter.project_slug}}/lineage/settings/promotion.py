"""Typed settings of promotion: what is asked of a version before it gets an alias."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from .section import Section

ALIAS = r"[a-z][a-z0-9_-]{0,50}"  # what can be decided on

Share = Annotated[float, Field(ge=0, lt=1)]


class Thresholds(Section):
    """Limits by the dotted name of the score; in conf/ they may be nested, as the scores are."""

    at_least: dict[str, float]
    at_most: dict[str, float]

    @field_validator("at_least", "at_most", mode="before")
    @classmethod
    def _by_dotted_name(cls, given: Any) -> Any:
        return _dotted(given) if isinstance(given, dict) else given


def _dotted(nested: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


class Comparison(Section):
    margin: Share
    slice_margin: Share
    least_subjects: Annotated[int, Field(ge=0, strict=True)]
    level: Annotated[float, Field(ge=0.5, lt=1)]


class Drift(Section):
    found: Literal["INCONCLUSIVE", "FAIL"]


class Promotion(Section):
    aliases: Annotated[list[str], Field(min_length=1)]
    branches: list[Annotated[str, Field(min_length=1)]] | None  # as shells match; None: the default branch
    thresholds: Thresholds
    comparison: Comparison
    drift: Drift

    @field_validator("aliases")
    @classmethod
    def _can_be_given(cls, aliases: list[str]) -> list[str]:
        for alias in aliases:
            if not re.fullmatch(ALIAS, alias) or re.fullmatch(r"v\d+|latest", alias):
                raise ValueError(
                    f"{alias} is no alias: small letters, digits, - and _, and neither latest nor v1, which mean "
                    "something else to MLflow"
                )
            if alias == "candidate":
                raise ValueError("candidate is not decided: it follows the newest result (conf/tracking)")
        return aliases
