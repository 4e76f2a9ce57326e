"""Gate thresholds: the scores that evaluate wrote for the version are not below, or above, what was asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ...base.errors import LineageError
from ...base.printable import some
from ...base.strict_json import parse
from ...contract import Role
from ...dvc.dvcfile import locked_hash
from ...dvc.recorded import Recorded
from ...proof.case import ModelCase
from ...settings import flatten
from ...settings.promotion import Thresholds
from .answer import Answer, worst


def thresholds(case: ModelCase, asked: Thresholds) -> Answer:
    """By the scores that dvc.lock of the result commit names. Raises LineageError if they cannot be had."""
    if not (asked.at_least or asked.at_most):
        return Answer("PASS", "0 thresholds are set (promotion.thresholds)", {"asked": 0})
    recorded, md5 = case.recorded, case.recorded.made(Role.SCORES)
    if md5 is None:
        raise LineageError(f"dvc.lock of {case.commit[:12]} records no scores.")
    if recorded.evaluated != recorded.made(Role.MODEL):
        raise LineageError(f"the scores in dvc.lock of {case.commit[:12]} are of another model.")
    require_own_test(recorded, Role.SCORES)
    try:
        scores = flatten(parse(case.evidence.objects.read(md5)))
    except (ValueError, AttributeError, json.JSONDecodeError) as error:
        raise LineageError(f"the scores (object {md5}) cannot be read: {error}") from error
    return compare(scores, asked)


def require_own_test(recorded: Recorded, role: Role) -> None:
    """Raises LineageError where a model was tested on another dataset version than the one that it was trained on.

    Test records of that one may be among those that it has learnt from.
    """
    path, trained = recorded.pipeline.path(Role.DATASET), recorded.md5(Role.DATASET)
    tested = locked_hash(recorded.entry(role), "deps", path) if path else None
    if tested is not None and tested != trained:
        raise LineageError(
            f"its {role} are of dataset version {tested}, and it was trained on {trained}: it may have learnt from "
            "the test records.",
            fix="dvc repro",
        )


def compare(scores: Mapping[str, Any], asked: Thresholds) -> Answer:
    """Each threshold against the score of its name. One that there is no such score, or no number, is INCONCLUSIVE."""
    figures: dict[str, Any] = {}
    said = []
    for name, limit, is_least in (
        *((name, limit, True) for name, limit in asked.at_least.items()),
        *((name, limit, False) for name, limit in asked.at_most.items()),
    ):
        sign, score = ">=" if is_least else "<=", scores.get(name)
        state, shown = _judge(score, limit, is_least=is_least)
        figures[f"{name} {sign} {limit:g}"] = {"state": state, "score": score if shown is not None else None}
        said.append((state, f"{name} is {shown or 'not among the scores, or no number'}, asked is {sign} {limit:g}"))
    state = worst([state for state, _ in said])
    if state == "INCONCLUSIVE":
        said.append((state, f"there are {some(sorted(scores), most=10)}"))
    text = "; ".join(text for each, text in said if each == state)
    return Answer(
        state, f"{sum(each['state'] == state for each in figures.values())} of {len(figures)}: {text}", figures
    )


def _judge(score: Any, limit: float, *, is_least: bool) -> tuple[Any, str | None]:
    """The state, and the score as text; None where it is none."""
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        return "INCONCLUSIVE", None
    holds = score >= limit if is_least else score <= limit
    return ("PASS" if holds else "FAIL"), f"{score:.4g}"
