"""What all sections of a comparison have in common."""

from __future__ import annotations

from typing import Any, Literal

State = Literal["different", "equal", "unknown"]


def section(*, compared: str, unknown: list[str], differs: bool, **found: Any) -> dict[str, Any]:
    """A section as data. It is equal only if all was compared: `unknown` says, in sentences, what was not.

    `compared` is what was looked at, with its number.
    """
    state: State = "different" if differs else "unknown" if unknown else "equal"
    return {"state": state, "compared": compared, "unknown": list(dict.fromkeys(unknown)), **found}


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """The values that differ, by key: what it was and what it is; None where there is none."""
    keys = [key for key in dict.fromkeys([*before, *after]) if not _same(before, after, key)]
    return {key: [before.get(key), after.get(key)] for key in sorted(keys)}


def _same(before: dict[str, Any], after: dict[str, Any], key: str) -> bool:
    if key not in before or key not in after:
        return False
    return type(before[key]) is type(after[key]) and bool(before[key] == after[key])  # 1 and True are equal to Python


def counted(number: int, what: str) -> str:
    """`3 records`, `1 record`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
