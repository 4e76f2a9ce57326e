"""Servers that tests start on 127.0.0.1, and that end with the test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
from baked import Project


@contextlib.contextmanager
def mlflow_server(project: Project, database: Path, artifacts: str | None = None) -> Iterator[str]:
    """The address of a running `mlflow server`, which also hands out and takes in the artifacts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    artifacts = artifacts or str(database.parent / "kept")
    places = ("--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", artifacts)
    command = ("mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *places)
    with (database.parent / "server.log").open("w") as log:
        process = project.start(*command, stdout=log)
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


@contextlib.contextmanager
def fails_once(target: str, part: str) -> Iterator[str]:
    """The address of a server that hands everything on to `target`, but refuses the first request with `part` in it."""
    refused: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if part in self.path and not refused:
                refused.append(self.path)
                self.send_error(403, "not now")
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

        do_GET = do_POST = do_PATCH = answer  # noqa: N815  names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
    assert refused


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
