"""The quality gate: promotion.thresholds as a condition on the scores that a step has made."""

from __future__ import annotations

import re
from typing import Any

from ....base.errors import DispatchError
from ....contract import Role
from .inside import step_name
from .parameters import Parameters
from .plan import Plan

GATE, TOO_BAD = "QualityGate", "BelowThreshold"
PROPERTIES = "Scores"  # the property file that holds them


def step(plan: Plan, parameters: Parameters, made: dict[str, Any], steps: list[Any], passed: Any) -> Any:
    """The condition after all `steps`: where it holds, the step `passed` follows; else the execution fails.

    `made` are the parameters as the SDK has them, by name. Raises DispatchError if no step makes the scores.
    """
    from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo, ConditionLessThanOrEqualTo
    from sagemaker.core.workflow.functions import JsonGet
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep

    maker = plan.pipeline.maker(Role.SCORES)
    if maker is None or step_name(maker.name) not in {each.name for each in steps}:
        raise DispatchError(
            "promotion.thresholds asks for scores, and the stage that makes them is no step. Send it to SageMaker as "
            "well, or take the thresholds away."
        )
    kinds = ((ConditionGreaterThanOrEqualTo, parameters.at_least), (ConditionLessThanOrEqualTo, parameters.at_most))
    conditions = [
        kind(
            left=JsonGet(step_name=step_name(maker.name), property_file=PROPERTIES, json_path=json_path(each.of)),
            right=made[each.name],
        )
        for kind, limits in kinds
        for each in limits
    ]
    fail = FailStep(name=TOO_BAD, error_message=_refusal(parameters, made))
    return ConditionStep(name=GATE, conditions=conditions, if_steps=[passed], else_steps=[fail], depends_on=steps)


def json_path(score: str) -> str:
    """A dotted name as a JsonPath of SageMaker's."""
    parts = score.split(".")
    plain = all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) for part in parts)
    return score if plain else "".join(f"['{part}']" for part in parts)


def _refusal(parameters: Parameters, made: dict[str, Any]) -> Any:
    from sagemaker.core.workflow.functions import Join

    limits = [(each, "at least") for each in parameters.at_least] + [(each, "at most") for each in parameters.at_most]
    parts = [part for each, word in limits for part in (f"{each.of} must be {word}", made[each.name])]
    return Join(on=" ", values=["the scores do not pass the gate:", *parts])
