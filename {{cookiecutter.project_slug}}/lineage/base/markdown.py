"""Others' text as Markdown: neither Markdown nor HTML obeys anything in it, and no host takes it for a mention."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MENTION = re.compile(r"(?<!\w)@")


def plain(text: str) -> str:
    """The text, to be read as it is written, on one line."""
    escaped = "".join(f"\\{each}" if each in "\\`*_[]<>#|~" else each for each in text)
    return MENTION.sub("@\N{ZERO WIDTH SPACE}", escaped).replace("\n", " ")


def code(text: str) -> str:
    """The text in the letters of code."""
    fence = "`" * (1 + _longest_run(text))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def block(text: str, kind: str = "") -> list[str]:
    """Several lines of code."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return [f"{fence}{kind}", text.rstrip("\n"), fence]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already; nothing for no rows."""
    body = [_row(each) for each in rows]
    return [_row(head), _row(["---"] * len(head)), *body, ""] if body else []


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
