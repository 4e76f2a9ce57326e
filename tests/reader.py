"""Somebody who reads the pages of the manual, and types what they say."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from baked import TEMPLATE, Project, remove_hooks, use_perceptron
from manual.blocks import Block, Command, blocks, differences
from servers import mlflow_server
from validators import with_evidence

SHELL = set("|&;<>$*`")
SERVER = "http://127.0.0.1:5000"  # on the pages; in the tests it has whatever port is free


class Reader:
    """Somebody who reads the pages and types what they say.

    The environment of the project is one that was installed before, and the network is the small one of most tests.
    Git's hooks are taken out: their work in the background would race with what is typed next.
    """

    def __init__(self, folder: Path, installed: Project, servers: ExitStack) -> None:
        self.installed = installed
        self.servers, self.is_set_up = servers, False
        self.values: dict[str, str] = {}  # of what stands on the page for something that is the reader's own
        self.statuses: dict[str, int] = {}  # of commands that begin so, where it is another than 0
        self.answers: dict[str, str] = {}  # what is typed when a command that begins so asks
        self.before: dict[str, Callable[[], object]] = {}  # what was done before a block that begins so
        self.meanwhile: dict[str, Callable[[], object]] = {}  # likewise before a command
        self.signing: Path | None = None  # the Python that has what `make setup-evidence` installs
        self.compares = True  # what comes out with what the page says
        self.project = Project(folder, installed.venv, installed.environment)

    def read(self, page: Path) -> Iterator[str]:
        """What is not as the page says: lines that did not come out, with where they stand."""
        for block in blocks(page):
            if path := block.notes.get("file"):
                (self.project.root / path).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
            elif block.is_commands and "not run" not in block.notes:
                yield from self.type(block, page)

    def type(self, block: Block, page: Path) -> Iterator[str]:
        """Likewise, of one block."""
        for begin, prepare in self.before.items():
            if block.typed[0].startswith(begin):
                prepare()
        for command in block.commands:
            for begin, prepare in self.meanwhile.items():
                if command.text.startswith(begin):
                    prepare()
            status, output = self._run(command)
            place = f"{page.name}:{block.line}: $ {command.text}"
            if status != int(block.notes.get("status", self._status_of(command.text))):
                yield f"{place}\nends with {status}:\n{output}"
            elif self.compares and (missing := differences(command.output, output)):
                yield f"{place}\nlacks {missing}:\n{output}"

    def _status_of(self, text: str) -> int:
        return next((status for begin, status in self.statuses.items() if text.startswith(begin)), 0)

    def _run(self, command: Command) -> tuple[int, str]:
        text = command.text
        for name, value in self.values.items():
            text = text.replace(name, value)
        words = shlex.split(text)
        if words[0] == "cd":
            folder = (self.project.root / words[1]).resolve()
            self.project = Project(folder, self.installed.venv, self.installed.environment)
            return 0, ""
        if words[:2] == ["mlflow", "server"]:
            running = mlflow_server(self.installed, self.project.root / "server.db")
            self.values[SERVER] = self.servers.enter_context(running)
            return 0, ""
        if words[:3] == ["dvc", "queue", "start"]:
            self.servers.enter_context(self.project.queue_workers(int(words[-1])))
            return self._wait_for_queue()
        if words[0] == "cookiecutter":
            return self._bake([str(TEMPLATE) if word == "gh:org/template" else word for word in words])
        if answer := next((typed for begin, typed in self.answers.items() if text.startswith(begin)), ""):
            return self._shell(text, answer)
        if words == ["make", "setup-evidence"]:
            self.signing = with_evidence()
            return 0, ""
        if words[:2] == ["lineage", "attest"] and self.signing:
            project = replace(self.project, venv=self.signing.parent.parent)
            process = project.start("python", "-m", "lineage.cli", *words[1:])
            output = process.communicate()[0]
            return process.returncode, output
        if words == [".", ".venv/bin/activate"]:
            return int(not (self.project.root / words[1]).exists()), ""  # all commands are run as if it were
        forked = words[0] in ("dvc", "lineage") and not SHELL & {*text}
        if forked and Project.fork is not None:
            return Project.fork(self.project, *words)
        if words == ["make", "setup"]:
            return self._set_up()
        return self._shell(text)

    def _wait_for_queue(self) -> tuple[int, str]:
        """Until every experiment of the queue is done, as a reader would before going on."""
        end = time.monotonic() + 300
        while time.monotonic() < end:
            output = self.project.run("dvc", "queue", "status")
            if "Queued" not in output and "Running" not in output:
                return int("Failed" in output), output
            time.sleep(1)
        return 1, output

    def _bake(self, words: list[str]) -> tuple[int, str]:
        program = Path(sys.executable).with_name("cookiecutter")
        done = self._shell(shlex.join([str(program), *words[1:]]), "\n" * 20)  # each question has a default
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

    def _shell(self, text: str, typed: str = "") -> tuple[int, str]:
        process = self.project.start("bash", "-c", text, stdin=subprocess.PIPE)
        output = process.communicate(typed)[0]
        return process.returncode, output
