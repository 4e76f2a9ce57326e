"""What a definition of a pipeline says by expressions: `Get`, `Std:Join`, `Std:JsonGet`; and parameters by their types.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-properties.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

PART = re.compile(r"\.?([A-Za-z0-9_]+)|\[(?:'([^']+)'|\"([^\"]+)\"|(\d+))\]")
CASTS: dict[str, Callable[[str], Any]] = {
    "String": str,
    "Integer": int,
    "Float": float,
    "Boolean": lambda text: {"true": True, "false": False}[text.lower()],
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}


class RefusedError(Exception):
    """What the service answers with ValidationException."""


def parameters(definition: dict[str, Any], given: list[dict[str, str]]) -> dict[str, Any]:
    """Value by name, of the declared types. Raises RefusedError for one that is unknown, missing or of another type."""
    declared = {each["Name"]: each for each in definition.get("Parameters") or []}
    texts = {each["Name"]: each["Value"] for each in given}
    if unknown := sorted(texts.keys() - declared.keys()):
        raise RefusedError(f"Unknown pipeline parameters: {', '.join(unknown)}")
    found = {}
    for name, each in declared.items():
        if name not in texts and "DefaultValue" not in each:
            raise RefusedError(f"Missing value of parameter {name}")
        try:
            found[name] = CASTS[each["Type"]](texts[name]) if name in texts else each["DefaultValue"]
        except (ValueError, KeyError):
            raise RefusedError(f"Parameter {name} is not of type {each['Type']}: {texts[name]}") from None
        if each.get("EnumValues") and found[name] not in each["EnumValues"]:
            raise RefusedError(f"Parameter {name} must be one of {each['EnumValues']}")
    return found


def references(value: Any) -> set[str]:
    """The steps that an expression anywhere in `value` is about."""
    if isinstance(value, list):
        return set().union(*map(references, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    if value.keys() == {"Get"}:
        head, _, rest = str(value["Get"]).partition(".")
        return {rest.partition(".")[0]} if head == "Steps" else set()
    return references(list(value.values()))


def follow(value: Any, path: str) -> Any:
    """What lies at a path in a document; in a list, `['name']` is the item whose OutputName it is."""
    for match in PART.finditer(path):
        name = match[1] or match[2] or match[3]
        if match[4] is not None:
            value = value[int(match[4])]
        elif isinstance(value, list):
            value = next(item for item in value if item.get("OutputName") == name)
        else:
            value = value[name]
    return value


def resolve(value: Any, get: Callable[[str], Any], read: Callable[[str], Any]) -> Any:
    """`value` with every expression replaced: `get` gives what a `Get` names, `read` the content of a property file."""

    def inner(each: Any) -> Any:
        return resolve(each, get, read)

    if isinstance(value, list):
        return [inner(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Get"}:
        return get(value["Get"])
    if value.keys() == {"Std:Join"}:
        join = value["Std:Join"]
        return join["On"].join(_text(inner(item)) for item in join["Values"])
    if value.keys() == {"Std:JsonGet"}:
        wanted = value["Std:JsonGet"]
        return follow(read(wanted["PropertyFile"]["Get"]), wanted["Path"])
    return {key: inner(item) for key, item in value.items()}


def holds(condition: dict[str, Any], value: Callable[[Any], Any]) -> bool:
    """Whether a condition holds; `value` resolves its sides."""
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Expression"], value)
    if kind == "Or":
        return any(holds(each, value) for each in condition["Conditions"])
    if kind == "In":
        return value(condition["QueryValue"]) in value(condition["Values"])
    return COMPARE[kind](value(condition["LeftValue"]), value(condition["RightValue"]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
