"""Servers that tests start on 127.0.0.1, and that end with the test."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
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

NO_ARTIFACTS = "--no-serve-artifacts"


@contextlib.contextmanager
def mlflow_server(project: Project, database: Path, artifacts: str | None = None, *more: str) -> Iterator[str]:
    """The address of a running `mlflow server`, which hands out and takes in the artifacts unless `more` says no."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    artifacts = artifacts or str(database.parent / "kept")
    store, log = f"sqlite:///{database}", database.parent / "server.log"
    if Project.serve is not None:
        number = Project.serve(project, str(port), log, _as_mlflow_does(store, artifacts, more))
    else:
        kind = "--default-artifact-root" if NO_ARTIFACTS in more else "--artifacts-destination"
        options = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", store)
        # of the processes that a server starts, eight serve features that no test asks for
        variables = {**project.environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with log.open("w") as file:
            quiet = Project(project.root, project.venv, variables)
            number = quiet.start("mlflow", "server", *options, kind, artifacts, *more, stdout=file).pid
    server = psutil.Process(number)
    try:
        deadline = time.monotonic() + 900  # its first start has taken minutes on a machine that does much else
        while not answers(f"http://127.0.0.1:{port}/health"):
            is_there = server.is_running() and server.status() != psutil.STATUS_ZOMBIE
            assert is_there and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)  # between two looks at the condition
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [*server.children(recursive=True), server]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def _as_mlflow_does(store: str, artifacts: str, more: tuple[str, ...]) -> dict[str, str]:
    """The variables by which `mlflow server` tells the server that it starts what to serve."""
    if NO_ARTIFACTS in more:
        kept = {"_MLFLOW_SERVER_ARTIFACT_ROOT": artifacts}
    else:
        kept = {"_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/", "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts}
        kept["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    names = ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    stores = dict.fromkeys(names, store)
    return {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **stores, **kept}


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except OSError:
        return False


class Quiet(BaseHTTPRequestHandler):
    """A handler that prints nothing and gives every request to `answer`."""

    def answer(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815  likewise

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def forward(self, url: str, body: bytes) -> None:
        """Sends the request on to `url`, and what that answers back."""
        headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
        try:
            with urlopen(Request(url, body or None, headers, method=self.command)) as response:
                status, data = response.status, response.read()
        except HTTPError as error:
            status, data = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@dataclass
class Refusing:
    """A server that hands everything on to another one, but answers some requests with an error."""

    address: str
    part: str = ""  # of the path of the requests that it refuses
    times: int = 0  # that it still refuses one
    status: int = 500
    body: str = ""  # a part of the body of the requests that it refuses
    refused: list[str] = field(default_factory=list)
    is_gone: bool = False  # it hangs up on everybody

    def order(self, part: str, times: int, status: int = 500, *, body: str = "") -> None:
        self.part, self.times, self.status, self.body, self.refused = part, times, status, body, []

    def refuses(self, path: str, body: bytes) -> bool:
        if self.part not in path or self.body.encode() not in body:
            return False
        if len(self.refused) >= self.times:
            return False
        self.refused.append(path)
        return True


@contextlib.contextmanager
def refusing(target: str) -> Iterator[Refusing]:
    """A running server in front of `target` that refuses what is ordered."""
    running = Refusing("")

    class Handler(Quiet):
        def answer(self) -> None:
            body = self.body()
            if running.is_gone:
                self.close_connection = True
                return
            if running.refuses(self.path, body):
                self.send_error(running.status, "not now")
                return
            self.forward(target + self.path, body)

    with served(Handler) as running.address:
        yield running


@contextlib.contextmanager
def fronting(
    target: str, *, prefix: str = "", authorization: str = "", certificates: Path | None = None, mutual: bool = False
) -> Iterator[str]:
    """The address of what companies put in front of a server: a path prefix, a password, TLS; also as a proxy.

    `certificates` is a folder as `make_certificates` leaves it; with `mutual` it wants the client's too. Other requests
    get the status 404 or 401.
    """

    class Handler(Quiet):
        def answer(self) -> None:
            body = self.body()
            path = self.path.removeprefix(f"http://{NOWHERE}")  # a proxy is asked for whole addresses
            if not path.startswith(f"{prefix}/") or self.headers.get("Authorization", "") != authorization:
                self.send_error(401 if path.startswith(f"{prefix}/") else 404)
                return
            self.forward(target + path.removeprefix(prefix), body)

    context = None
    if certificates is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem")
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates / "ca.pem")
    with served(Handler, context) as address:
        yield address + prefix


NOWHERE = "mlflow.example.org"


def make_certificates(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 in `folder`: server.pem with its key, ca.pem without."""
    key, certificate = folder / "key.pem", folder / "ca.pem"
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run([*made, "-days", "2", *names, *files], check=True, capture_output=True)
    (folder / "server.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
    return folder


@contextlib.contextmanager
def aws_standin(
    state: Path, images: dict[str, Path], *, mlflow: Path | None = None, **environment: str
) -> Iterator[str]:
    """The address of a stand-in for AWS; `environment` is that of every container.

    `mlflow`: executables that MLflow apps run.
    """
    options = [f"--image={uri}={folder}" for uri, folder in images.items()]
    options += [f"--environment={name}={value}" for name, value in environment.items()]
    options += [f"--mlflow={mlflow}"] if mlflow else []
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

    class Handler(Quiet):
        def answer(self) -> None:
            body = self.body()
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

    with served(Handler) as address:
        yield address


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server that answers as `handler` does, over TLS with a `context`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
