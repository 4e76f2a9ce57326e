"""Compiled files beside a registered model's code: Python runs them instead of the source, so they are looked into."""

from __future__ import annotations

import importlib.util
import marshal
import types
from pathlib import Path

HEADER = 16  # bytes before the code: https://peps.python.org/pep-0552/


def is_compiled_from_source(compiled: Path) -> bool:
    """Whether a file of `__pycache__` is what this Python makes of the source it belongs to.

    False as well where that cannot be told: another Python made it, or the source is not there.
    """
    try:
        source = Path(importlib.util.source_from_cache(str(compiled)))
        data = compiled.read_bytes()
        if data[:4] != importlib.util.MAGIC_NUMBER:
            return False
        code = marshal.loads(data[HEADER:])  # noqa: S302  read, never run
        return isinstance(code, types.CodeType) and code == compile(source.read_bytes(), str(source), "exec", 0, True)
    except (ValueError, OSError, EOFError, TypeError, SyntaxError):
        return False
