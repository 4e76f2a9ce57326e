"""What IAM policies allow: actions, resources and conditions, as AWS evaluates them for one account.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

moto's own check (`/moto-api/reset-auth`) knows resources of S3 alone, and no conditions: it would refuse every job to a
policy that names the jobs it is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Need:
    """What a request needs to be allowed: an action on a resource, in its context."""

    action: str  # service:Action
    resource: str  # an ARN, or * where the action knows no resources
    context: Mapping[str, str] = field(default_factory=dict)  # condition keys


def is_allowed(need: Need, of_identity: Iterable[dict[str, Any]], of_resource: Iterable[dict[str, Any]] = ()) -> bool:
    """Whether policies allow it: one statement of either does, and none denies it.

    Raises ValueError for what this evaluation does not know: it must not allow what AWS would refuse.
    """
    statements = [statement for policy in [*of_identity, *of_resource] for statement in _listed(policy["Statement"])]
    effects = {statement["Effect"] for statement in statements if applies(statement, need)}
    return effects == {"Allow"}


def applies(statement: dict[str, Any], need: Need) -> bool:
    """Whether a statement speaks of what is needed, by whoever it is."""
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}
    if unknown:
        raise ValueError(f"{statement.get('Sid')}: {unknown} is not known here")
    if not _names_all(statement.get("Principal", "*")):
        return False
    actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
    return (
        any(_pattern(action, ignore_case=True).fullmatch(need.action) for action in actions)
        and any(_pattern(resource).fullmatch(need.resource) for resource in resources)
        and _holds(statement.get("Condition", {}), need.context)
    )


def trusts(policy: dict[str, Any], service: str, context: Mapping[str, str]) -> bool:
    """Whether the trust policy of a role lets a service take it on."""
    return any(
        service in _listed(statement["Principal"].get("Service", []))
        and "sts:AssumeRole" in _listed(statement["Action"])
        and _holds(statement.get("Condition", {}), context)
        for statement in _listed(policy["Statement"])
        if statement["Effect"] == "Allow"
    )


def _names_all(principal: Any) -> bool:
    # statements for services (CloudTrail) are not for the roles that ask here
    return principal == "*" or (isinstance(principal, dict) and principal.get("AWS") == "*")


def _holds(conditions: dict[str, dict[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        _compare(operator, _listed(expected), context.get(key))
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


def _compare(operator: str, expected: list[Any], found: str | None) -> bool:
    if operator == "Null":
        return str(found is None).lower() in map(str, expected)
    name = operator.removesuffix("IfExists")
    is_negated = name in ("StringNotEquals", "StringNotLike", "ArnNotLike")
    if found is None:
        return is_negated or name != operator
    if name in ("StringEquals", "StringNotEquals", "ArnEquals", "Bool"):
        return (found in map(str, expected)) != is_negated
    if name in ("StringLike", "StringNotLike", "ArnLike", "ArnNotLike"):
        return any(_pattern(str(item)).fullmatch(found) for item in expected) != is_negated
    if name == "NumericLessThan":
        return any(float(found) < float(item) for item in expected)
    raise ValueError(f"the condition {operator} is not known here")


@cache
def _pattern(text: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    flags = re.DOTALL | re.IGNORECASE if ignore_case else re.DOTALL
    return re.compile("".join(parts.get(char, re.escape(char)) for char in text), flags)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
