"""Servers that tests start on 127.0.0.1, and that end with the test."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
from baked import Project


@contextlib.contextmanager
def mlflow_server(project: Project, database: Path, artifacts: str | None = None, *more: str) -> Iterator[str]:
    """The address of a running `mlflow server`, which hands out and takes in the artifacts unless `more` says no."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    artifacts = artifacts or str(database.parent / "kept")
    kind = "--default-artifact-root" if "--no-serve-artifacts" in more else "--artifacts-destination"
    places = ("--backend-store-uri", f"sqlite:///{database}", kind, artifacts)
    options = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1", *places, *more)
    command = ("mlflow", "server", *options)
    # of the processes that a server starts, eight serve features that no test asks for
    quiet = Project(project.root, project.venv, {**project.environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    with (database.parent / "server.log").open("w") as log:
        process = quiet.start(*command, stdout=log)
    try:
        deadline = time.monotonic() + 900  # its first start has taken minutes on a machine that does much else
        while not answers(f"http://127.0.0.1:{port}/health"):
            log_so_far = (database.parent / "server.log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, log_so_far
            time.sleep(0.1)  # between two looks at the condition
        yield f"http://127.0.0.1:{port}"
    finally:
        started = psutil.Process(process.pid)
        for server in [*started.children(recursive=True), started]:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@dataclass
class Refusing:
    """A server that hands everything on to another one, but answers some requests with an error."""

    address: str
    part: str = ""  # of the path, or of the body, of the requests that it refuses
    times: int = 0  # that it still refuses one
    status: int = 500
    refused: list[str] = field(default_factory=list)

    in_body: bool = False

    def order(self, part: str, times: int, status: int = 500, *, in_body: bool = False) -> None:
        self.part, self.times, self.status, self.in_body, self.refused = part, times, status, in_body, []

    def refuses(self, path: str, body: bytes) -> bool:
        if self.part not in (body.decode(errors="replace") if self.in_body else path):
            return False
        if len(self.refused) >= self.times:
            return False
        self.refused.append(path)
        return True


@contextlib.contextmanager
def refusing(target: str) -> Iterator[Refusing]:
    """A running server in front of `target` that refuses what is ordered."""
    running = Refusing("")

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if running.refuses(self.path, body):
                self.send_error(running.status, "not now")
                return
            headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
            try:
                with urlopen(Request(target + self.path, body or None, headers, method=self.command)) as response:
                    status, data = response.status, response.read()
            except HTTPError as error:
                status, data = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815  names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as running.address:
        yield running


@contextlib.contextmanager
def aws_standin(state: Path, images: dict[str, Path], **environment: str) -> Iterator[str]:
    """The address of a stand-in for AWS; `environment` is that of every container."""
    options = [f"--image={uri}={folder}" for uri, folder in images.items()]
    options += [f"--environment={name}={value}" for name, value in environment.items()]
    command = [sys.executable, "-m", "aws_standin", "--state", str(state), "--grace", "5", *options]
    with (state / "standin.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, (state / "standin.log").read_text()
        yield address
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it stops its jobs, then itself
        process.wait(timeout=180)


@contextlib.contextmanager
def git_server(folder: Path, user: str, password: str) -> Iterator[str]:
    """The address of a Git host that serves the repositories in `folder` to one user."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            variables = {
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
                "REMOTE_USER": user,
            }
            answer = subprocess.run(
                ["git", "http-backend"], input=body, env={**os.environ, **variables}, capture_output=True, check=True
            ).stdout
            head, _, data = answer.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815  names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as address:
        yield address


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that answers as `handler` does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
