"""A host of Git repositories on 127.0.0.1, with as much of the APIs of GitHub and GitLab as scripts/ci asks for.

And its runner: a shallow clone as the service makes it, with the commands of a workflow run in it by the shell that the
service uses, and the variables that it sets.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from baked import Project
from command import Lineage
from servers import Quiet, git_server, served
from validators import with_evidence

TOKEN, REPOSITORY = "t0ken-of-the-job", "org/digits"
# whose the token is, as the two services name it beside what it has written; and somebody else
OWN, ELSE = (
    {"user": {"login": "github-actions[bot]"}, "author": {"id": 77}},
    {"user": {"login": "eve"}, "author": {"id": 5}},
)
USERS = {"github": "x-access-token", "gitlab": "oauth2"}
PAGE = 2  # items that a page has at most here: the hosts' own limit is 100
# writes that what `make setup-evidence` installs is there
STAMP = """
import sys
from argparse import Namespace
from pathlib import Path
sys.path.insert(0, "scripts")
from environment import fingerprint
locks = [Path(f"requirements{kind}.lock") for kind in ("", "-dev", "-evidence")]
Path(sys.argv[1]).write_text(fingerprint(Namespace(requirements=locks, editable=Path())))
"""
EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")
# `dvc` and `lineage` of the runner: answered by the warm process of the tests, but for what needs packages it lacks
WARM = """#!{python} -IS
import json, os, socket, sys

if sys.argv[1:2] == ["attest"]:
    os.execv({signs!r}, [{signs!r}, "-m", "lineage.cli", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as here:
    here.connect({address!r})
    request = [os.path.basename(sys.argv[0]), *sys.argv[1:]], os.getcwd(), dict(os.environ)
    here.sendall(json.dumps(request).encode() + b"\\n")
    status, output, errors = json.loads(here.makefile("rb").readline())
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(status)
"""


@dataclass
class Host:
    """What runs, and what was written there."""

    folder: Path  # of the bare repositories
    github: str = ""  # the same repositories, for the user of one service
    gitlab: str = ""  # and for that of the other
    api: str = ""  # of both
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # comments, notes and issues, by path
    approvals: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)  # statuses that the next requests get

    @property
    def bare(self) -> Path:
        return self.folder / REPOSITORY

    def of(self, path: str) -> list[dict[str, Any]]:
        """The items below a path of the API."""
        return self.lists.get(path, [])

    def says(self, *command: str) -> str:
        """What Git says of the repository here."""
        done = subprocess.run(["git", "-C", str(self.bare), *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def answer(self, method: str, url: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        """Status and document of an answer."""
        parts = urlsplit(url)
        path, query = parts.path, parse_qs(parts.query)
        self.asked.append(f"{method} {path}")
        if path.endswith("/approvals"):
            return 200, self.approvals
        if found := re.fullmatch(r"/users/([\w-]+)", path):
            return 200, {"login": found[1], "id": 1815, "name": "Ada Lovelace"}
        if path == "/graphql":
            return 200, {"data": {"viewer": OWN["user"]}}
        if path == "/user":
            return 200, OWN["author"]
        if path.endswith(("/comments", "/notes", "/issues")):
            return self._list(method, path, query, body)
        above, _, name = path.rpartition("/")
        above = re.sub(r"/issues/comments$", "/issues/7/comments", above)  # GitHub's are numbered across all issues
        found_item = next((each for each in self.of(above) if str(each["id"]) == name), None)
        if found_item is None:
            return 404, {"message": "Not Found"}
        changes = dict(body or {})  # of others' comments too: who may write to a repository may change them
        if changes.pop("state_event", None) == "close":
            changes["state"] = "closed"
        found_item.update(changes)
        return 200, found_item

    def _list(
        self, method: str, path: str, query: Mapping[str, list[str]], body: dict[str, Any] | None
    ) -> tuple[int, Any]:
        items = self.lists.setdefault(path, [])
        if method == "POST":
            number = len(items) + 1
            made = {"id": number, "number": number, "iid": number, "state": "open", **OWN, **(body or {})}
            items.append(made)
            return 201, made
        if "state" in query:
            items = [each for each in items if each["state"] == "open"]
        start = (int(query["page"][0]) - 1) * PAGE
        return 200, items[start : start + PAGE]


@contextmanager
def host(folder: Path) -> Iterator[Host]:
    """A running host that lets in who has TOKEN, under the name, or in the header, that either service wants."""
    running = Host(folder)
    running.bare.mkdir(parents=True)
    running.says("init", "--quiet", "--bare", "--initial-branch=main")
    running.says("config", "http.receivepack", "true")
    running.bare.with_name(f"{running.bare.name}.git").symlink_to(running.bare)  # as GitLab names it

    class Handler(Quiet):
        def answer(self) -> None:
            body = self.body()
            secret = self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization", "")[7:]
            if running.failures:
                status, said = running.failures.pop(0), {"message": "not now"}
            elif self.path.startswith("/token?"):
                status, said = 200, {"value": f"jwt for {parse_qs(urlsplit(self.path).query)['audience'][0]}"}
            elif secret != TOKEN:
                status, said = 401, {"message": "Bad credentials"}
            else:
                status, said = running.answer(self.command, self.path, json.loads(body) if body else None)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with (
        git_server(folder, USERS["github"], TOKEN) as running.github,
        git_server(folder, USERS["gitlab"], TOKEN) as running.gitlab,
        served(Handler) as running.api,
    ):
        yield running


@contextmanager
def warm_commands(folder: Path, project: Project, lineage: Lineage) -> Iterator[Path]:
    """The .venv of a runner: that of the project, where `dvc` and `lineage` are forks of what has imported all.

    It also has what signs, as after `make setup-evidence`.
    """
    venv, executables, signs = folder / ".venv", folder / ".venv" / "bin", with_evidence()
    executables.mkdir(parents=True)
    for file in project.venv.iterdir():
        if file.name not in ("bin", "installed", "compared.json"):
            (venv / file.name).symlink_to(file)
    (executables / "model_signing").symlink_to(signs.with_name("model_signing"))
    project.run("python", "-B", "-c", STAMP, str(venv / "installed"))
    shutil.copyfile(project.venv / "compared.json", venv / "compared.json")  # after the other, as `make setup` wants
    python = project.venv / "bin" / "python"
    address = str(Path(tempfile.mkdtemp(prefix="warm-")) / "socket")  # short: a name has at most 107 characters
    for file in (project.venv / "bin").iterdir():
        if file.name not in ("dvc", "lineage"):
            (executables / file.name).symlink_to(file)
    for name in ("dvc", "lineage"):
        (executables / name).write_text(WARM.format(python=python, address=address, signs=str(signs)))
        (executables / name).chmod(0o755)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the tests are done
                return
            with connection:
                command, place, variables = json.loads(connection.makefile("rb").readline())
                path = os.pathsep.join([str(project.venv / "bin"), os.environ["PATH"]])
                asked = {"cwd": place, "environment": {**variables, "PATH": path}, "forks": "all", "together": False}
                connection.sendall(json.dumps(lineage._request({**asked, "command": command})).encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield venv
        listener.shutdown(socket.SHUT_RDWR)
    shutil.rmtree(Path(address).parent)


def check_out(url: str, user: str, commit: str, clone: Project) -> None:
    """Makes a clone as a service does: of one commit, on no branch, with nothing in it that lets Git push."""
    clone.root.mkdir()
    clone.git("init", "--quiet")
    clone.git("remote", "add", "origin", url)
    secret = base64.b64encode(f"{user}:{TOKEN}".encode()).decode()
    header = ("-c", f"http.extraHeader=Authorization: Basic {secret}")
    clone.git(*header, "fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit)
    clone.git("checkout", "--quiet", "--detach", commit)
    (clone.root / ".git" / "info" / "exclude").write_text("/.venv\n")
    (clone.root / ".venv").symlink_to(clone.venv)


def run_steps(clone: Project, steps: list[tuple[str, dict[str, str]]], shell: str) -> tuple[int, str]:
    """Status and output of commands in the shell of a service, up to the first that fails.

    No variables are there but those of the clone, and of the step.
    """
    output = ""
    base = {"PATH": os.environ["PATH"], "HOME": str(clone.root.parent), "LANG": "C.UTF-8"}
    for command, variables in steps:
        done = subprocess.run(
            [*shell.split(), command],
            cwd=clone.root,
            env={**base, **clone.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output += done.stdout
        if done.returncode:
            return done.returncode, output
    return 0, output


def steps_of_github(workflow: Path, job: str, known: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """The commands of a job with their variables. `known`: values by their names in expressions; others are empty.

    Those of a job that goes well: not what is run where it was cancelled.
    """
    steps = yaml.safe_load(workflow.read_text())["jobs"][job]["steps"]
    return [
        (step["run"], {key: _evaluated(str(value), known) for key, value in step.get("env", {}).items()})
        for step in steps
        if "run" in step and "if" not in step
    ]


def _evaluated(text: str, known: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        return next((known[name] for name in found[1].split(" || ") if known.get(name)), "")

    return EXPRESSION.sub(value, text)


def steps_of_gitlab(text: str, job: str) -> list[tuple[str, dict[str, str]]]:
    """The commands of a job, with those of what it extends."""
    document = yaml.safe_load(text)
    own = document[job]
    whole = {**document.get(own.get("extends", ""), {}), **own}
    return [("\n".join([*whole.get("before_script", []), *whole["script"]]), {})]
