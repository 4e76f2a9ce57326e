"""What is wrong with params.yaml, in a sentence for each fault: which key, what of it, what is there in its place."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from ..contract import load, package_name, settings_class
from .compute import TARGET

ADDRESSES = ("uri", "url", "path", "variable")  # settings whose values are not repeated: one may hold a password


def no_setting(key: str, document: dict[str, Any]) -> str:
    """What to say of a dotted `key` that is no setting: what `document` has in its place. Without a full stop."""
    parts, above = key.split("."), 0
    while above < len(parts) - 1 and isinstance(document.get(parts[above]), dict):
        document = document[parts[above]]
        above += 1
    there = sorted(set(document) - {parts[above]})
    near = get_close_matches(parts[above], there, n=1)
    if near:
        return f"{key} is not a setting (did you mean {'.'.join([*parts[:above], near[0]])}?)"
    return f"{key} is not a setting; {'.'.join(parts[:above]) or 'params.yaml'} has {', '.join(there)}"


def describe_fault(fault: Any, document: dict[str, Any]) -> str:
    """One fault that pydantic has found."""
    place = _keys(fault["loc"], document)
    if fault["type"] == "missing" and place[-1:] != [fault["loc"][-1]]:
        place.append(fault["loc"][-1])  # a key that is called like the name
    where = ".".join(place)
    if fault["type"] == "union_tag_invalid":
        context = fault["ctx"]
        more = f"one of your own needs a class in {_types_of(where.partition('.')[0])}"
        return f"{where}.name: there is no {context['tag']!r}, only {context['expected_tags']} ({more})"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return no_setting(where, document)
    given = fault.get("input")
    # an address may hold a password
    may_show = isinstance(given, str | int | float) and fault["loc"][-1] not in ADDRESSES
    shown = f" (is {given!r})" if may_show else ""
    return f"{where}: {message[0].lower()}{message[1:]}{shown}" if where else message


def _types_of(group: str) -> str:
    """The file with the types of a group's settings."""
    module = getattr(settings_class().model_fields[group].annotation, "__module__", "")
    is_known = module.startswith(("lineage.", package_name()))
    return f"{module.replace('.', '/')}.py" if is_known else f"{package_name()}/settings.py"


def _keys(place: tuple[Any, ...], document: Any) -> list[str]:
    """The keys that lead to a fault. Where `name` decides among several sections, pydantic puts that name between."""
    keys: list[str] = []
    for part in place:
        is_name = isinstance(document, dict) and part not in document and document.get("name") == part
        if not is_name:
            keys.append(str(part))
            document = document.get(part) if isinstance(document, dict) else None
    return keys


def faults_of_backend(name: str, section: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """What the class of a backend says against its settings."""
    if TARGET not in section:
        return [f"compute.{name}: {TARGET} is missing, which names the class of the backend"]
    try:
        load(str(section[TARGET])).model_validate({key: value for key, value in section.items() if key != TARGET})
    except ValidationError as error:
        return [
            describe_fault({**fault, "loc": ("compute", name, *fault["loc"])}, document) for fault in error.errors()
        ]
    return []
