"""The answer on a terminal, and as Markdown for a pull request."""

from __future__ import annotations

import re
from typing import Any

from .words import first_line, lines, number, sentence

COLOURS = {"different": "cyan", "equal": "green", "unknown": "yellow"}
MENTION = re.compile(r"(?<!\w)@")
NO_IDS = "Records and subjects are counted here, not named: `lineage diff` on a terminal names them."


def show(document: dict[str, Any]) -> None:
    """Prints the sections; of one that is equal, that it is."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for key in ("a", "b"):
        console.print(f"[bold]{key.upper()}[/]  {escape(side(document[key]))}")
    for name, found in document["sections"].items():
        colour = COLOURS[found["state"]]
        console.print(f"[bold]{name}[/]  [{colour}]{escape(first_line(found))}[/]")
        for line in lines(name, found, ids=True):
            text = escape(line)
            console.print(f"  [yellow]{text}[/]" if line.startswith("unknown: ") else f"  {text}")
    if patch := document["sections"]["code"]["patch"]:
        print(patch, end="")


def side(found: dict[str, Any]) -> str:
    """What a side is, in a line."""
    if found["commit"] is None:
        return f"{found['title']}: dvc.lock and the files that lie here"
    return f"{found['title']}: commit {found['commit'][:12]}, {found['date']}, {found['subject']}"


def markdown(document: dict[str, Any]) -> str:
    """For a pull request, where it stays and cannot be erased: nobody's records are named."""
    parts = [f"## {_code(document['a']['title'])} → {_code(document['b']['title'])}", ""]
    parts += [f"- **{key.upper()}**: {_plain(side(document[key]))}" for key in ("a", "b")]
    for name, found in document["sections"].items():
        parts += ["", f"### {name.capitalize()}: {found['state']}", "", _plain(sentence(found)), ""]
        values = found["changed"] if name == "parameters" else found["measured"] if name == "metrics" else {}
        parts += _table(values)
        said = lines(name, found, ids=False, values=False)
        parts += [f"{'  ' if line.startswith('  ') else ''}- {_plain(line.strip())}" for line in said]
    if patch := document["sections"]["code"]["patch"]:
        fence = "`" * max(3, 1 + _longest_run(patch))
        parts += ["", f"{fence}diff", patch.rstrip("\n"), fence]
    return "\n".join([*parts, "", NO_IDS, ""])


def _table(values: dict[str, list[Any]]) -> list[str]:
    """Values that differ; nothing for none."""
    rows = [f"| {_plain(key)} | {_plain(number(was))} | {_plain(number(now))} |" for key, (was, now) in values.items()]
    return ["| | A | B |", "| --- | --- | --- |", *rows, ""] if rows else []


def _plain(text: str) -> str:
    """Others' text with nothing in it that Markdown or HTML would obey, or a host take for a mention."""
    escaped = "".join(f"\\{each}" if each in "\\`*_[]<>#|~" else each for each in text)
    return MENTION.sub("@\N{ZERO WIDTH SPACE}", escaped).replace("\n", " ")


def _code(text: str) -> str:
    fence = "`" * (1 + _longest_run(text))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def _longest_run(text: str) -> int:
    longest = run = 0
    for each in text:
        run = run + 1 if each == "`" else 0
        longest = max(longest, run)
    return longest
