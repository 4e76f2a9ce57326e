"""Every `lineage ...` that a page shows in a block of commands exists, and takes what it is given there.

Tutorials and many how-tos are run (test_tutorials.py, test_howtos.py). The blocks of all pages, READMEs too, are read
here by the command line itself, which refuses a command, an option or a number of arguments that there is not, and
each `make ...` is looked up. Nothing is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from baked import TEMPLATE
from manual.blocks import blocks
from typer.main import get_command

from lineage.cli import app

PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
PAGES = [*TEMPLATE.glob("*.md"), *TEMPLATE.glob("docs/**/*.md"), *PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
SEPARATOR = re.compile(r"\s(?:&&|\|\||;|\|)\s|\s#\s|\s#$|\s{2,}#.*$|\s[<>]{1,2}\s")
ROOT: Any = get_command(app)
USAGE: Any = typer.BadParameter.__base__  # what the command line says of whatever is wrong with it
ANY = ("...", "…", "\\")  # further words of the reader's


def typed(page: Path, program: str = "lineage") -> Iterator[tuple[int, str]]:
    """The commands of a program in the blocks of a page, with their lines."""
    for block in blocks(page):
        lines = block.lines if block.kind in ("", "sh", "bash", "console") else []
        whole, first = "", 0
        for number, line in enumerate(lines, block.line):
            text = JINJA.sub("traceable-digits", line).strip().removeprefix("$ ")
            first = first if whole else number
            whole += text.removesuffix("\\")
            if text.endswith("\\"):
                continue
            for part in SEPARATOR.split(whole):
                if part.startswith(f"{program} "):
                    yield first, part.strip()
            whole = ""


def fault(text: str) -> str:
    """Why the command line refuses what is typed; empty if it takes it."""
    try:
        words = [word for word in shlex.split(text)[1:] if word not in ANY]
    except ValueError as error:
        return str(error)
    command, path = ROOT, ["lineage"]
    try:
        while hasattr(command, "commands"):
            if not words and command.invoke_without_command:
                return ""
            path.append(words.pop(0) if words else "")
            command = command.commands[path[-1]]
        command.make_context(" ".join(path), words)
    except KeyError:
        return f"{' '.join(path)} is no command"
    except USAGE as error:
        return str(error.format_message())
    return ""


def test_what_pages_type_exists() -> None:
    found = [(page, line, text) for page in PAGES for line, text in typed(page)]
    assert len(found) > 150
    wrong = [
        f"{page.relative_to(TEMPLATE)}:{line}: {text}: {said}" for page, line, text in found if (said := fault(text))
    ]
    assert wrong == []


def test_what_pages_make_is_in_a_makefile() -> None:
    """Pages of the template may mean its own Makefile, or that of a project; pages of a project only its own."""
    found = [(page, line, text) for page in PAGES for line, text in typed(page, "make")]
    assert len(found) > 10
    assert {page.name for page, *_ in found} >= {"README.md"}
    wrong = [
        f"{page.relative_to(TEMPLATE)}:{line}: {text}"
        for page, line, text in found
        if text.split()[1] not in _targets(page)
    ]
    assert wrong == []


def _targets(page: Path) -> set[str]:
    folders = [PROJECT] if page.is_relative_to(PROJECT) else [TEMPLATE, PROJECT]
    return {name for folder in folders for name in re.findall(r"^([a-z-]+):", (folder / "Makefile").read_text(), re.M)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lineage gc --plan --cloud", ""),
        ("lineage log", ""),
        ("lineage gc --plan --clouds", "No such option"),
        ("lineage prove X", "lineage prove is no command"),
        ("lineage aws nothing", "lineage aws nothing is no command"),
        ("lineage trace", "Missing argument"),
        ("lineage trace X Y", "unexpected extra argument"),
        ("lineage gc --older-than soon", "should be a valid number"),
    ],
)
def test_what_does_not_exist_is_noticed(text: str, said: str) -> None:
    assert said in fault(text)
    assert bool(said) == bool(fault(text))
