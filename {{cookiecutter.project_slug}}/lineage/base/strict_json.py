"""JSON in one meaning only, for documents that others may have written or changed."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_HALVES = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")  # two of them may be a character
LARGEST = 1 << 53  # what every reader of JSON takes for the same number


def parse(data: bytes, *, whole_numbers: bool = False) -> Any:
    """The document. Raises ValueError, with a reason, for what two programs could read as two documents.

    That is a key that is there twice, halves of characters, and what is nested too deeply to be read at all. With
    `whole_numbers`, there may be no others, and none beyond 2^53.
    """
    numbers: dict[str, Any] = {"parse_int": _whole, "parse_float": _no_number, "parse_constant": _no_number}
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, **(numbers if whole_numbers else {}))
        if _HALVES.search(data):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("it holds an invalid Unicode character (lone surrogate)") from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:50]!r} is there twice")
    return found


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > len(str(LARGEST)) or abs(int(text)) > LARGEST:
        raise ValueError(f"the number {text[:20]}... is too large")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no number that it may hold")
