"""What the public interface hands out is public: every class that a caller meets, however deep, has a name there."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
import typing
from typing import Any

from lineage import api


def _classes_in(hint: Any) -> set[type]:
    """The framework's classes that a type consists of."""
    if isinstance(hint, type) and hint.__module__.startswith("lineage."):
        return {hint}
    return set[type]().union(*map(_classes_in, typing.get_args(hint)))


def _met(first: set[type]) -> set[type]:
    """These classes, and those of their fields and properties, as long as there are new ones."""
    found, new = set[type](), first
    while new:
        found |= new
        hints = [hint for each in new for hint in _hints(each)]
        new = set[type]().union(*map(_classes_in, hints)) - found
    return found


def _hints(each: type) -> list[Any]:
    names = {**vars(api), **{name: getattr(api, name) for name in api.PARTS}, **vars(sys.modules[each.__module__])}
    if not dataclasses.is_dataclass(each) and not hasattr(each, "_fields"):
        return []
    read = [value.fget for value in vars(each).values() if isinstance(value, property) and value.fget]
    return [*typing.get_type_hints(each, names).values()] + [
        typing.get_type_hints(one, names).get("return") for one in read
    ]


def test_every_class_that_a_caller_meets_is_exported_with_a_docstring() -> None:
    first = {each for name in api.__all__ if isinstance(each := getattr(api, name), type)}
    met = _met(first)
    assert {each.__name__ for each in met} == {each.__name__ for each in first}
    assert len(met) >= 12
    assert [each.__name__ for each in met if not inspect.getdoc(each)] == []
    assert {*api.PARTS} < {*api.__all__}


def test_the_interface_imports_nothing_heavy() -> None:
    code = "import sys, lineage.api; print({'mlflow', 'pandas', 'dvc', 'duckdb'} & {*sys.modules})"
    path = ":".join(sys.path)
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    assert done.stdout.strip() == "set()"


def test_what_it_does_not_have_is_an_error() -> None:
    assert not hasattr(api, "evidence")
