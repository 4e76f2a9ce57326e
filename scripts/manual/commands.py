"""The page of all commands, from the command line itself: what each is called with, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from .table import cell, table

STATUS = re.compile(r"\s*Exit status[:,]?\s*(.+?)\.?\s*$", re.DOTALL)
# of every command that says nothing else
USUAL = "0 done, 1 not done: the message says why, and what to do now"

HEAD = """# Commands

Every command of `lineage`, with its arguments, options and exit statuses. `lineage COMMAND --help` says the same.

A status that a command does not name below has the usual meaning: **0** done; **1** not done, and one sentence says
what is wrong, where, and what to do now; **2** the command line is wrong, as every program of this kind says it. Where
2 also means that an answer is unknown, standard error tells the two apart: a wrong command line prints `Usage:`. A
traceback, which also ends with 1, is a fault of the framework: report it.

X is a version (`models:/NAME/3`, `models:/NAME@candidate`), a run id, a hash, a Git revision, an experiment, or a path.
"""


def page() -> str:
    """All commands, in the order in which `lineage --help` has them."""
    from typer.main import get_command

    from lineage.cli import app

    found = list(commands(get_command(app), ("lineage",)))
    listed = table(("command", "what it does"), [(link(path), cell(summary(one))) for path, one in found])
    return "\n".join([HEAD, listed, "", *(section(path, one) for path, one in found)])


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be called, below a group."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from commands(one, (*path, name))


def link(path: tuple[str, ...]) -> str:
    return f"[`{' '.join(path[1:])}`](#{'-'.join(path)})"


def section(path: tuple[str, ...], command: Any) -> str:
    given = [row(one) for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    parts = [f"## {' '.join(path)}", text(command), f"```text\n{usage(path, command)}\n```"]
    if given:
        parts.append(table(("given", "default", "what it is"), given))
    parts.append(f"**Exit status**: {statuses(command)}.")
    return "\n\n".join(parts) + "\n"


def usage(path: tuple[str, ...], command: Any) -> str:
    return " ".join([*path, *(piece(one) for one in command.params if one.name != "help")])


def piece(one: Any) -> str:
    """How a thing is given, in brackets where it may be left out, with dots where it may be given again."""
    is_again = one.nargs == -1 or getattr(one, "multiple", False)
    shown = f"{label(one)} ..." if is_again and "..." not in label(one) else label(one)
    return shown if one.required else f"[{shown}]"


def label(one: Any) -> str:
    if one.param_type_name == "argument":
        return str(one.metavar or one.name.upper()).strip("[]")
    name = max(one.opts, key=len)
    return name if one.is_flag else f"{name} {one.metavar or kind(one)}"


def kind(one: Any) -> str:
    """What is given after an option without a name of its own for it."""
    annotation = one.type_descriptor.annotation
    inner = get_args(annotation)[0] if get_args(annotation) else annotation
    if issubclass(inner, Enum):
        return "|".join(str(each.value) for each in inner)
    return {int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(inner, one.name.upper())


def row(one: Any) -> tuple[str, str, str]:
    names = ", ".join(f"`{each}`" for each in one.opts) if one.param_type_name == "option" else ""
    what = f"`{label(one)}`" if not names else names + ("" if one.is_flag else f" `{one.metavar or kind(one)}`")
    return what.replace("|", "\\|"), default(one), cell(getattr(one, "help", None) or "")


def default(one: Any) -> str:
    value = one.default
    if one.required:
        return "must be given"
    if value is None or value == () or value is False or not isinstance(value, str | int | float | list | tuple):
        return ""
    return f"`{value}`"


def text(command: Any) -> str:
    return STATUS.sub("", said(command)).strip()


def summary(command: Any) -> str:
    return text(command).split("\n\n")[0]


def statuses(command: Any) -> str:
    """What the command itself says of its statuses; else what all have in common."""
    found = STATUS.search(said(command))
    if not found:
        return USUAL
    named = " ".join(found[1].split())
    return named if re.match(r"0\b|as ", named) else f"0, or {named}"


def said(command: Any) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
