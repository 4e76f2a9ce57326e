"""Compiled files beside a registered model's code: Python runs them instead of the source, so they are looked into."""

from __future__ import annotations

import importlib.util
import marshal
import sys
import types
from pathlib import Path

HEADER = 16  # bytes before the code: https://peps.python.org/pep-0552/


class ForeignBytecodeError(ValueError):
    """Another Python made it, so that this one cannot tell what it does."""


def is_compiled_from_source(compiled: Path) -> bool:
    """Whether a file of `__pycache__` is what this Python makes of the source it belongs to.

    False as well where there is no such source. Raises ForeignBytecodeError if another Python made it.
    """
    try:
        source = Path(importlib.util.source_from_cache(str(compiled)))
        data, text = compiled.read_bytes(), source.read_bytes()
    except (ValueError, OSError):
        return False
    if f".{sys.implementation.cache_tag}." not in compiled.name:
        raise ForeignBytecodeError(f"{compiled.name} was made by another Python than {sys.implementation.cache_tag}.")
    if data[:4] != importlib.util.MAGIC_NUMBER:
        return False
    try:
        code = marshal.loads(data[HEADER:])  # noqa: S302  read, never run
        return isinstance(code, types.CodeType) and code == compile(text, str(source), "exec", 0, True)
    except (ValueError, EOFError, TypeError, SyntaxError):
        return False
