"""The commands `lineage` and `dvc`, run in a fork of a process that has imported everything: see warm.py."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baked import Project


@dataclass
class Lineage:
    """Runs `lineage` in a project, forked from a process that has imported everything."""

    process: subprocess.Popen[str]

    def __call__(self, project: Project, *arguments: str, code: int | None = 0, folder: Path | None = None) -> str:
        """Output of the command. Fails the test unless it exits with `code` (None: any)."""
        status, output, errors = self.run(project, *arguments, folder=folder)
        assert code is None or status == code, f"lineage {' '.join(arguments)}: {status}\n{output}{errors}"
        return output if status == 0 else output + errors

    def ask(self, project: Project, *arguments: str, folder: Path | None = None) -> tuple[int, str]:
        """Exit status of the command, and what it printed to either stream."""
        status, output, errors = self.run(project, *arguments, folder=folder)
        return status, output + errors

    def run(self, project: Project, *arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
        """Exit status, output and error output of the command."""
        return self.fork(project, ("lineage", *arguments), folder=folder)

    def fork(
        self, project: Project, command: tuple[str, ...], *, folder: Path | None = None, together: bool = False
    ) -> tuple[int, str, str]:
        """Exit status, output and error output of a command of warm.py; both in the first if they are `together`."""
        place = {"cwd": str(folder or project.root), "environment": project.variables, "forks": Project.forks}
        status, output, errors = self._request({**place, "command": command, "together": together})
        return status, output, errors

    def serve(self, project: Project, port: str, log: Path, variables: dict[str, str]) -> int:
        """Starts the server of MLflow on 127.0.0.1, and returns the number of its process."""
        environment = {**project.variables, **variables}
        command = ("serve", "127.0.0.1", port)
        place = {"cwd": str(project.root), "log": str(log), "environment": environment}
        return int(self._request({**place, "command": command}))

    def _request(self, request: dict[str, Any]) -> Any:
        """What warm.py answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def verify(self, project: Project, *arguments: str) -> Proof:
        """The answer of `lineage verify`, as JSON says it."""
        status, output, errors = self.run(project, "verify", "--json", *arguments)
        if not output:
            return Proof(status, "", [], errors)
        document = json.loads(output)
        links = [link for model in document["models"] for link in model["links"]]
        states = {model["state"] for model in document["models"]}
        return Proof(status, states.pop() if len(states) == 1 else str(sorted(states)), links, output)


@dataclass
class Proof:
    """What `lineage verify` answered."""

    status: int
    state: str
    links: list[dict[str, Any]]
    output: str

    def link(self, name: str) -> dict[str, Any]:
        return next(link for link in self.links if link["name"] == name)

    @property
    def not_passed(self) -> dict[str, str]:
        """Text by name of the links that did not pass."""
        return {
            link["name"]: " ".join([link["text"], *link["faults"]]) for link in self.links if link["state"] != "PASS"
        }
