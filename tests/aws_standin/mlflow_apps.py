"""MLflow apps: an `mlflow server` of its own for each, which is reached by the header that names the app.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMlflowApp.html
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from .place import Place

HEADER = "HTTP_X_SM_MLFLOW_APP_ARN"  # as WSGI has it
ACTIONS = ("CreateMlflowApp", "DescribeMlflowApp", "ListMlflowApps", "DeleteMlflowApp", "ListTags")
PASSED_ON = ("Content-Type", "Accept", "User-Agent")
Start = Callable[..., Any]


class RefusedError(Exception):
    """An answer of the API: the type of an error, and its message."""


class App:
    """One app. `executables` has `mlflow` of the version that apps run; without it nobody answers."""

    def __init__(self, place: Place, request: dict[str, Any], executables: Path | None) -> None:
        self.arn = f"arn:aws:sagemaker:{place.region}:123456789012:mlflow-app/app-{secrets.token_hex(6).upper()}"
        self.request, self.created = request, time.time()
        self.status = "Creating"
        self.port = _free_port()
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self.version = "3.10.1"
        threading.Thread(target=self._begin, args=[executables], daemon=True).start()

    def _begin(self, executables: Path | None) -> None:
        if executables is not None:
            folder = self._place.state / self.arn.rpartition("/")[2]
            folder.mkdir()
            (wheel,) = executables.parent.glob("lib/python*/site-packages/mlflow-*.dist-info")
            self.version = wheel.name.removeprefix("mlflow-").removesuffix(".dist-info")
            options = ("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", "--no-serve-artifacts")
            kept = ("--backend-store-uri", f"sqlite:///{folder}/store.db")
            artifacts = ("--default-artifact-root", self.request["ArtifactStoreUri"])
            environment = {
                "PATH": f"{executables}:/usr/bin:/bin",
                "HOME": str(folder),
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "AWS_ENDPOINT_URL": self._place.endpoint,
                "AWS_ACCESS_KEY_ID": "ROLEOFAPP",
                "AWS_SECRET_ACCESS_KEY": "of-the-app",
                "AWS_DEFAULT_REGION": self._place.region,
            }
            with (folder / "server.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [executables / "mlflow", "server", *options, *kept, *artifacts],
                    env=environment,
                    cwd=folder,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            while not self._answers():
                if self._process.poll() is not None:
                    self.status = "CreateFailed"
                    return
                time.sleep(0.1)  # between two looks at the condition
        if self.status == "Creating":
            self.status = "Created"

    def _answers(self) -> bool:
        """Whether it answers a question: the first one makes its database, which can take half a minute."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def end(self) -> None:
        """Ends its server, and what that has started."""
        import psutil

        if self._process is not None:
            family = [
                self._process.pid,
                *(each.pid for each in psutil.Process(self._process.pid).children(recursive=True)),
            ]
            for number in family:
                if psutil.pid_exists(number):
                    psutil.Process(number).kill()
            self._process.wait()

    def describe(self) -> dict[str, Any]:
        names = ("Name", "ArtifactStoreUri", "RoleArn", "ModelRegistrationMode")
        return {
            **{name: self.request[name] for name in names if name in self.request},
            "Arn": self.arn,
            "Status": self.status,
            "MlflowVersion": self.version,
            "CreationTime": self.created,
        }


class Apps:
    """All of them."""

    def __init__(self, place: Place, executables: Path | None) -> None:
        self._place, self._executables = place, executables
        self._apps: dict[str, App] = {}

    def knows(self, action: str, request: dict[str, Any]) -> bool:
        """Whether this is a call for an app."""
        return action in ACTIONS and (action != "ListTags" or ":mlflow-app/" in str(request.get("ResourceArn")))

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        """Raises RefusedError as the service refuses."""
        if action == "CreateMlflowApp":
            app = App(self._place, request, self._executables)
            self._apps[app.arn] = app
            return {"Arn": app.arn}
        if action == "ListMlflowApps":
            names = ("Arn", "Name", "Status", "CreationTime", "MlflowVersion")
            described = [app.describe() for app in self._apps.values()]
            return {"Summaries": [{name: one[name] for name in names} for one in described]}
        app = self._app(str(request.get("Arn") or request.get("ResourceArn")))
        if action == "ListTags":
            return {"Tags": app.request.get("Tags") or []}
        if action == "DeleteMlflowApp":
            del self._apps[app.arn]
            app.end()
            return {"Arn": app.arn}
        return app.describe()

    def _app(self, arn: str) -> App:
        if arn not in self._apps:
            raise RefusedError("ResourceNotFound", f"no MLflow app {arn}")
        return self._apps[arn]

    def tags_of(self, arn: str) -> dict[str, str]:
        """The tags of an app; none if there is none."""
        tags = self._apps[arn].request.get("Tags") or [] if arn in self._apps else []
        return {str(tag["Key"]): str(tag["Value"]) for tag in tags}

    def forward(self, arn: str, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """A request for the server of an app, as the plugin for ARNs sends it. Its signature is not looked at."""
        app = self._apps.get(arn)
        if app is None or app.status != "Created" or not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4-"):
            start("403 Forbidden", [("Content-Type", "application/json")])
            return [b'{"error_code": "PERMISSION_DENIED", "message": "no such MLflow app, or not signed"}']
        names = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in PASSED_ON}
        headers = {name: environ[key] for name, key in names.items() if key in environ}
        headers["Content-Type"] = environ.get("CONTENT_TYPE") or "application/json"
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"] + (f"?{query}" if (query := environ.get("QUERY_STRING")) else "")
        connection = HTTPConnection("127.0.0.1", app.port, timeout=120)
        try:
            connection.request(environ["REQUEST_METHOD"], path, body, headers)
            answer = connection.getresponse()
            data, kind = answer.read(), answer.getheader("Content-Type") or "application/json"
        finally:
            connection.close()
        start(f"{answer.status} {answer.reason}", [("Content-Type", kind), ("Content-Length", str(len(data)))])
        return [data]

    def end(self) -> None:
        for app in self._apps.values():
            app.end()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
