"""AWS's API on 127.0.0.1: moto answers, and behind its SageMaker calls stand jobs that run."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from .faults import take
from .jobs import Job, ProcessingJob, TrainingJob
from .parts import Parts, keep_in_files, parts_of, range_of
from .place import Place
from .serving import INVOCATIONS, Serving

KINDS: dict[str, type[Job]] = {"TrainingJob": TrainingJob, "ProcessingJob": ProcessingJob}
# moto answers these with an error of its own (500), which clients try again ten times
MISSING = (b"Action=SimulatePrincipalPolicy",)

Start = Callable[..., Any]


class StandIn:
    """The WSGI application. Requests that have nothing to do with jobs go to moto unchanged."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.jobs: dict[str, Job] = {}
        self.serving = Serving(place)
        keep_in_files()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._moto.debug = True  # type: ignore[attr-defined]

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        fault = take(self.place.state, f"{environ['REQUEST_METHOD']} {target or environ['PATH_INFO']}")
        if fault is not None:
            return _answer(start, fault["status"], fault["body"].encode(), "application/octet-stream")
        if invoked := INVOCATIONS.fullmatch(environ["PATH_INFO"]):
            return self._invoke(invoked[1], environ, start)
        if target.startswith("SageMaker."):
            return self._sagemaker(target.removeprefix("SageMaker."), environ, start)
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            body = _body(environ)
            if body.startswith(MISSING):
                return _answer(start, "400 Bad Request", b"", "text/xml")
        if environ["REQUEST_METHOD"] == "GET":
            parts = parts_of(environ["PATH_INFO"].encode("latin-1").decode())
            if parts is not None and not environ.get("QUERY_STRING"):
                return self._in_parts(parts, environ, start)
        return self._moto(environ, start)

    def _invoke(self, name: str, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        headers = {"Content-Type": environ.get("CONTENT_TYPE") or "", "Accept": environ.get("HTTP_ACCEPT") or "*/*"}
        status, said, data = self.serving.invoke(name, _body(environ), headers)
        start(f"{status} {HTTPStatus(status).phrase}", [*said.items(), ("Content-Length", str(len(data)))])
        return [data]

    def _in_parts(self, parts: Parts, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """An object, or the range of it that moto finds in the request, without moto's reading it."""
        said: list[tuple[str, list[tuple[str, str]]]] = []
        head = {**environ, "REQUEST_METHOD": "HEAD"}
        answer = b"".join(self._moto(head, lambda status, headers, *_: said.append((status, headers))))
        status, headers = said[0]
        start(status, headers)
        if not status.startswith("2"):
            return [answer]
        return parts.read(*range_of({name.lower(): value for name, value in headers}, len(parts)))

    def _sagemaker(self, action: str, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        body = _body(environ)
        request = json.loads(body or b"{}")
        kind = next((kind for kind in KINDS if action.endswith(kind)), None)
        if action in ("StopTrainingJob", "StopProcessingJob"):
            return self._stop(str(request[f"{kind}Name"]), start)
        handled = self.serving.handle(action, request, lambda *call: self._ask_moto_for(environ, *call))
        if handled is not None:
            return _answer(start, handled[0], json.dumps(handled[1]).encode(), "application/x-amz-json-1.1")
        status, answer = self._ask_moto(environ, body)
        if status.startswith("200") and kind and action == f"Create{kind}":
            job = KINDS[kind](self.place, request, answer[f"{kind}Arn"])
            self.jobs[job.name] = job
            job.start()
        elif status.startswith("200") and kind and action == f"Describe{kind}":
            job = self.jobs[request[f"{kind}Name"]]
            # also what moto forgets of the request
            answer = _without_empty({**answer, **job.request, **job.describe()})
        elif status.startswith("5"):
            status, answer = "400 Bad Request", {"__type": "ValidationException", "message": f"no {action} here"}
        return _answer(start, status, json.dumps(answer).encode(), "application/x-amz-json-1.1")

    def _stop(self, name: str, start: Start) -> Iterable[bytes]:
        if name not in self.jobs:
            missing = {"__type": "ResourceNotFound", "message": f"no job {name}"}
            return _answer(start, "400 Bad Request", json.dumps(missing).encode(), "application/x-amz-json-1.1")
        self.jobs[name].stop()
        return _answer(start, "200 OK", b"{}", "application/x-amz-json-1.1")

    def _ask_moto_for(
        self, environ: dict[str, Any], action: str, request: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """moto's answer to another call than the one that was made."""
        body = json.dumps(request).encode()
        changed = {"HTTP_X_AMZ_TARGET": f"SageMaker.{action}", "CONTENT_LENGTH": str(len(body))}
        return self._ask_moto({**environ, **changed}, body)

    def _ask_moto(self, environ: dict[str, Any], body: bytes) -> tuple[str, dict[str, Any]]:
        said: list[str] = []
        environ["wsgi.input"] = io.BytesIO(body)
        data = b"".join(self._moto(environ, lambda status, *_: said.append(status)))
        try:
            return said[0], json.loads(data or b"{}")
        except ValueError:
            return "500 Internal Server Error", {}


def serve(place: Place) -> BaseWSGIServer:
    """A server on a free port of 127.0.0.1; `place.endpoint` is set to its address."""
    server = make_server("127.0.0.1", 0, StandIn(place), threaded=True, request_handler=MotoRequestHandler)
    place.endpoint = f"http://127.0.0.1:{server.server_port}"
    return server


def _without_empty(value: Any) -> Any:
    """The SDK refuses `{}` where the service leaves a field out."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item != {}}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _answer(start: Start, status: str, data: bytes, kind: str) -> Iterable[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]
