"""The tutorials of the manual, done as they say: what they say comes out comes out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from aws_standin.container import can_run
from baked import TEMPLATE, Project, remove_hooks, use_perceptron
from cloud import IMAGE, ROLE, cloud
from command import Lineage
from manual.blocks import LONG, TUTORIALS, Block, Command, blocks, differences
from servers import mlflow_server

SHELL = set("|&;<>$*(){}'\"")
SERVER = "http://127.0.0.1:5000"  # on the pages; in the tests it has whatever port is free
IN_AWS = {"DATA_BUCKET": "the-data", "JOBS_BUCKET": "the-jobs", "ROLE_ARN": ROLE, "=IMAGE": f"={IMAGE}"}


class Reader:
    """Somebody who reads the pages and types what they say.

    The environment of the project is one that was installed before, and the network is the small one of most tests.
    Git's hooks are taken out: their work in the background would race with what is typed next.
    """

    def __init__(self, folder: Path, installed: Project, servers: ExitStack) -> None:
        self.installed = installed
        self.servers, self.is_set_up = servers, False
        self.values: dict[str, str] = {}  # of what stands on the page for something that is the reader's own
        self.project = Project(folder, installed.venv, installed.environment)

    def read(self, page: Path) -> Iterator[str]:
        """What is not as the page says: lines that did not come out, with where they stand."""
        for block in blocks(page):
            if path := block.notes.get("file"):
                (self.project.root / path).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
            elif block.is_commands and "not run" not in block.notes:
                yield from self._type(block, page)

    def _type(self, block: Block, page: Path) -> Iterator[str]:
        for command in block.commands:
            status, output = self._run(command)
            place = f"{page.name}:{block.line}: $ {command.text}"
            if status != int(block.notes.get("status", "0")):
                yield f"{place}\nends with {status}:\n{output}"
            elif missing := differences(command.output, output):
                yield f"{place}\nlacks {missing}:\n{output}"

    def _run(self, command: Command) -> tuple[int, str]:
        text = command.text
        for name, value in self.values.items():
            text = text.replace(name, value)
        words = text.split()
        if words[0] == "cd":
            folder = (self.project.root / words[1]).resolve()
            self.project = Project(folder, self.installed.venv, self.installed.environment)
            return 0, ""
        if words[:2] == ["mlflow", "server"]:
            running = mlflow_server(self.installed, self.project.root / "server.db")
            self.values[SERVER] = self.servers.enter_context(running)
            return 0, ""
        if words[0] == "cookiecutter":
            return self._bake([str(TEMPLATE) if word == "gh:org/template" else word for word in words])
        if words == [".", ".venv/bin/activate"]:
            return int(not (self.project.root / words[1]).exists()), ""  # all commands are run as if it were
        forked = words[0] in ("dvc", "lineage") and not SHELL & {*text}
        if forked and Project.fork is not None:
            return Project.fork(self.project, *words)
        if words == ["make", "setup"]:
            return self._set_up()
        return self._shell(text)

    def _bake(self, words: list[str]) -> tuple[int, str]:
        program = Path(sys.executable).with_name("cookiecutter")
        done = self._shell(" ".join([str(program), *(f"'{word}'" for word in words[1:])]))
        for root in self.project.root.glob("*/dvc.yaml"):
            use_perceptron(root.parent)
        return done

    def _set_up(self) -> tuple[int, str]:
        """It finds that all is installed: what it would install, it would put into the environment of all tests.

        In a clone, the project is the same, and so is what it would do.
        """
        mine, theirs = (root / "pyproject.toml" for root in (self.project.root, self.installed.root))
        assert mine.read_bytes() == theirs.read_bytes()
        (self.project.root / ".venv").symlink_to(self.installed.venv)
        (self.project.root / ".git" / "info" / "exclude").write_text("/.venv\n")  # a link is no folder
        if self.is_set_up:
            return 0, ""
        self.is_set_up = True
        done = self._shell("make setup")
        remove_hooks(self.project.root)
        return done

    def _shell(self, text: str) -> tuple[int, str]:
        process = self.project.start("bash", "-c", text)
        output = process.communicate()[0]
        return process.returncode, output


@pytest.fixture
def reader(tmp_path: Path, installed: Project, lineage: Lineage) -> Iterator[Reader]:
    with ExitStack() as servers:
        yield Reader(tmp_path, installed, servers)


AWS = "to-sagemaker"
ALONE = [
    pytest.param(names, id=names[0], marks=[pytest.mark.long] if {*names} & {*LONG} else [])
    for names in TUTORIALS
    if AWS not in names
]


@pytest.mark.parametrize("names", ALONE)
def test_the_tutorials_work_as_they_say(reader: Reader, names: tuple[str, ...]) -> None:
    for name in names:
        assert [*reader.read(TEMPLATE / "docs" / "tutorials" / f"{name}.md")] == []


@pytest.mark.long
@pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
def test_the_tutorial_of_sagemaker_works_as_it_says(reader: Reader, tmp_path: Path) -> None:
    with cloud(tmp_path / "cloud", reader.installed) as running:
        reader.installed = replace(reader.installed, environment=running.project.environment)
        reader.project = replace(reader.project, environment=running.project.environment)
        reader.values = {**IN_AWS, "https://MLFLOW": running.tracking}
        assert [*reader.read(TEMPLATE / "docs" / "tutorials" / f"{AWS}.md")] == []
        assert running.left_the_machine() == ""


def test_all_tutorials_are_done() -> None:
    assert {path.stem for path in (TEMPLATE / "docs" / "tutorials").glob("*.md")} == {*sum(TUTORIALS, ())}


def test_what_does_not_come_out_is_noticed() -> None:
    output = "one 3f2b9c1\ntwo of 3, 0.98\nthree\n"
    assert differences(("one aaaaaaa", "…", "two of 3, 0.11", "three"), output) == []
    assert differences(("two of …",), output) == []
    assert differences(("two of 4, 0.98",), output) == ["two of 4, 0.98"]
    assert differences(("three", "one 3f2b9c1"), output) == ["one 3f2b9c1"]
