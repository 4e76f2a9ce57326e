"""JSON that a person can review in a diff: what people read is spread, and each item of a list is one line."""

from __future__ import annotations

import json
from typing import Any

SPREAD = 3  # levels of objects, the document itself included, whose keys have a line each


def readable(document: dict[str, Any]) -> str:
    """The text of a document. Equal documents, with their keys in one order, give equal texts."""
    return f"{_text(document, 0)}\n"


def _text(value: Any, depth: int) -> str:
    if isinstance(value, dict) and value and depth < SPREAD:
        items = [f"{json.dumps(key, ensure_ascii=False)}: {_text(inner, depth + 1)}" for key, inner in value.items()]
        return _lines("{", items, "}", depth)
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return _lines("[", [json.dumps(item, ensure_ascii=False) for item in value], "]", depth)
    return json.dumps(value, ensure_ascii=False)


def _lines(first: str, items: list[str], last: str, depth: int) -> str:
    indent = "  " * (depth + 1)
    return f"{first}\n{indent}" + f",\n{indent}".join(items) + f"\n{'  ' * depth}{last}"
