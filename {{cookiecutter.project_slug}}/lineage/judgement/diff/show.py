"""The answer on a terminal, and as Markdown for a pull request."""

from __future__ import annotations

from typing import Any

from ...base.markdown import block, code, plain, table
from .words import first_line, lines, number, sentence

COLOURS = {"different": "cyan", "equal": "green", "unknown": "yellow"}
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
    parts = [f"## {code(document['a']['title'])} → {code(document['b']['title'])}", ""]
    parts += [f"- **{key.upper()}**: {plain(side(document[key]))}" for key in ("a", "b")]
    for name, found in document["sections"].items():
        parts += ["", f"### {name.capitalize()}: {found['state']}", "", plain(sentence(found)), ""]
        values = found["changed"] if name == "parameters" else found["measured"] if name == "metrics" else {}
        parts += _table(values)
        said = lines(name, found, ids=False, values=False)
        parts += [f"{'  ' if line.startswith('  ') else ''}- {plain(line.strip())}" for line in said]
    if patch := document["sections"]["code"]["patch"]:
        parts += ["", *block(patch, "diff")]
    return "\n".join([*parts, "", NO_IDS, ""])


def _table(values: dict[str, list[Any]]) -> list[str]:
    """Values that differ; nothing for none."""
    rows = ([plain(key), plain(number(was)), plain(number(now))] for key, (was, now) in values.items())
    return table(["", "A", "B"], rows)
