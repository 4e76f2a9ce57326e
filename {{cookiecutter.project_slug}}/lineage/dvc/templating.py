"""What dvc.yaml says once `foreach` is unrolled and `${...}` is filled in from params.yaml, as dvc does both.

https://dvc.org/doc/user-guide/project-structure/dvcyaml-files
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

PLACE = re.compile(r"(?P<escape>\\)?\$\{\s*(?P<name>[^{}]+?)\s*\}")


def unroll(stages: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """The stages by the names that dvc.lock has for them: one of `foreach` is `name@item`."""
    return {name: body for key, raw in stages.items() for name, body in _instances(key, raw, params)}


def _instances(name: str, body: dict[str, Any], params: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "foreach" not in body:
        yield name, _filled(body.get("do", body), params)  # `matrix` keeps its one body, with its places open
        return
    items = _filled(body["foreach"], params)
    for key, item in _keyed(items):
        yield f"{name}@{key}", _filled(body["do"], {**params, "key": key, "item": item})


def _keyed(items: Any) -> list[tuple[str, Any]]:
    """Items by the names that dvc gives them: their keys, their values, or if they have parts, their numbers."""
    if isinstance(items, dict):
        return [(_text(key), item) for key, item in items.items()]
    if any(isinstance(item, dict | list) for item in items):
        return [(str(number), item) for number, item in enumerate(items)]
    return [(_text(item), item) for item in items]


def _filled(value: Any, variables: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_filled(key, variables): _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    whole = PLACE.fullmatch(value)
    if whole:
        return _looked_up(whole, variables)
    return PLACE.sub(lambda match: _text(_looked_up(match, variables)), value)


def _looked_up(match: re.Match[str], variables: dict[str, Any]) -> Any:
    if match["escape"]:
        return match[0][1:]  # meant for the shell
    value: Any = variables
    for part in match["name"].split("."):
        if not isinstance(value, dict) or part not in value:
            return match[0]  # of a variable that is not in params.yaml
        value = value[part]
    return value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
