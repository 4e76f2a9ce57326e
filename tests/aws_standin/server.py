"""AWS's API on 127.0.0.1: moto answers, and behind its SageMaker calls stand jobs that run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sagemaker.models import sagemaker_backends
from werkzeug.serving import BaseWSGIServer, make_server

from .answers import (
    Start,
    as_json,
    body_of,
    is_small,
    message_of,
    missing,
    no_job,
    plain,
    refuse,
    without_empty,
)
from .endpoints import INFERENCE_ID
from .entities import Entities, NotFoundError
from .events import hand_on
from .executions import Execution
from .expressions import RefusedError
from .faults import take
from .jobs import Job, ProcessingJob
from .managed import ManagedTrainingJob
from .mlflow_apps import HEADER, Apps
from .mlflow_apps import RefusedError as AppsRefuse
from .needs import INVOCATIONS
from .parts import Parts, keep_in_files, parts_of, range_of
from .permissions import Permissions
from .place import ANYBODY, Place
from .registry import Registry
from .serving import Serving

KINDS: dict[str, type[Job]] = {"TrainingJob": ManagedTrainingJob, "ProcessingJob": ProcessingJob}
# moto answers these with an error of its own (500), which clients try again ten times
MISSING = (b"Action=SimulatePrincipalPolicy",)


class StandIn:
    """The WSGI application. Requests that have nothing to do with jobs go to moto unchanged."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.jobs: dict[str, Job] = {}
        self.apps = Apps(place, place.mlflow)
        self.executions: dict[str, Execution] = {}
        self.entities = Entities(place.region)
        self.registry = Registry(place.region)
        self.serving = Serving(place)
        keep_in_files()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._moto.debug = True  # type: ignore[attr-defined]
        self._permissions = Permissions(place.state, place.region, self._tags_of)
        place.credentials, place.require = self._credentials, self._require
        hand_on(place)

    def _credentials(self, role_arn: str, *service: str) -> dict[str, str]:
        return self._permissions.credentials(role_arn, *service) if self._permissions.are_enforced else ANYBODY

    def _require(self, credentials: dict[str, str], action: str, resource: str) -> None:
        if credentials != ANYBODY:
            self._permissions.require(credentials, action, resource)

    def _tags_of(self, arn: str) -> dict[str, str]:
        return self.apps.tags_of(arn) or self.entities.tags_of(arn)

    def end(self) -> None:
        """Ends what runs."""
        for execution in self.executions.values():
            execution.stop()
        for job in self.jobs.values():
            job.end()
        self.apps.end()
        self.serving.end()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if HEADER in environ:
            return self.apps.forward(environ[HEADER], environ, start)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        fault = take(self.place.state, f"{environ['REQUEST_METHOD']} {target or environ['PATH_INFO']}")
        if fault is not None:
            return plain(start, fault["status"], fault["body"].encode(), "application/octet-stream")
        if self._permissions.are_enforced:
            refused = self._permissions.refusal(environ, body_of(environ) if is_small(environ) else b"")
            if refused is not None:
                return refuse(refused, target, environ, start)
        if invoked := INVOCATIONS.fullmatch(environ["PATH_INFO"]):
            return self._invoke(invoked[1], environ, start)
        if target.startswith("SageMaker."):
            return self._sagemaker(target.removeprefix("SageMaker."), environ, start)
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            body = body_of(environ)
            if body.startswith(MISSING):
                return plain(start, "400 Bad Request", b"", "text/xml")
        if environ["REQUEST_METHOD"] == "GET":
            parts = parts_of(environ["PATH_INFO"].encode("latin-1").decode())
            if parts is not None and not environ.get("QUERY_STRING"):
                return self._in_parts(parts, environ, start)
        return self._ask_or_refuse(environ, start)

    def _ask_or_refuse(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """moto's answer, or a 400 for what moto lacks: an error of the server would be asked for again for a minute."""
        try:
            return self._moto(environ, start)
        except NotImplementedError as error:
            what, is_json = str(error) or "this call", environ.get("HTTP_X_AMZ_TARGET")
            refusal = json.dumps(missing(what)) if is_json else f"<Error><Message>no {what} here</Message></Error>"
            kind = "application/x-amz-json-1.1" if is_json else "text/xml"
            return plain(start, "400 Bad Request", refusal.encode(), kind)

    def _invoke(self, name: str, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        headers = {"Content-Type": environ.get("CONTENT_TYPE") or "", "Accept": environ.get("HTTP_ACCEPT") or "*/*"}
        if known := environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID"):
            headers[INFERENCE_ID] = known
        status, said, data = self.serving.invoke(name, body_of(environ), headers)
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
        body = body_of(environ)
        request = json.loads(body or b"{}")
        kind = next((kind for kind in KINDS if action.endswith(kind)), None)
        if action in ("StopTrainingJob", "StopProcessingJob"):
            return self._stop(str(request[f"{kind}Name"]), start)
        if self.apps.knows(action, request):
            return self._of_apps(action, request, start)
        if action == "UpdateTrainingJob":
            return self._update(request, start)
        handled = self.serving.handle(action, request, lambda *call: self._ask_moto_for(environ, *call))
        if handled is not None:
            return as_json(start, without_empty(handled[1]), handled[0])
        try:
            own = self._own(action, request)
        except NotFoundError as error:
            return as_json(start, {"__type": "ResourceNotFound", "message": str(error)}, "400 Bad Request")
        except RefusedError as error:
            return as_json(start, {"__type": "ValidationException", "message": str(error)}, "400 Bad Request")
        if own is not None:
            return as_json(start, without_empty(own))
        status, answer = self._ask_moto(environ, body)
        if status.startswith("200") and kind and action == f"Create{kind}":
            job = KINDS[kind](self.place, request, answer[f"{kind}Arn"])
            if isinstance(job, ManagedTrainingJob):
                job.take_over([one for one in self.jobs.values() if isinstance(one, ManagedTrainingJob)])
            self.jobs[job.name] = job
            job.start()
        elif status.startswith("200") and action == "StartPipelineExecution":
            try:
                self._execute(answer["PipelineExecutionArn"])
            except RefusedError as error:
                status, answer = "400 Bad Request", {"__type": "ValidationException", "message": str(error)}
        elif status.startswith("200") and kind and action == f"Describe{kind}":
            job = self.jobs[request[f"{kind}Name"]]
            answer = {**answer, **job.request, **job.describe()}  # also what moto forgets of the request
        elif status.startswith("5"):
            status, answer = "400 Bad Request", missing(action)
        return as_json(start, without_empty(answer), status)

    def _execute(self, arn: str) -> None:
        """Starts an execution that moto has noted. Raises RefusedError, and forgets it, if that cannot be."""
        pipelines = sagemaker_backends[DEFAULT_ACCOUNT_ID][self.place.region].pipelines.values()
        pipeline = next(each for each in pipelines if arn in each.pipeline_executions)
        noted = pipeline.pipeline_executions
        try:
            self.executions[arn] = Execution(self.place, self.entities, noted[arn], pipeline.role_arn)
        except RefusedError:
            del noted[arn]
            raise

    def _own(self, action: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a call that moto lacks, or answers otherwise than the service; None for all others."""
        for ask in (self._of_pipelines, self.entities.answer, self.registry.answer):
            answer = ask(action, request)
            if answer is not None:
                return answer
        return None

    def _of_pipelines(self, action: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a call about an execution that moto lacks; None for all others. Raises RefusedError."""
        if action not in ("ListPipelineExecutionSteps", "StopPipelineExecution", "RetryPipelineExecution"):
            return None
        arn = request["PipelineExecutionArn"]
        if arn not in self.executions:
            raise RefusedError(f"no execution {arn}")
        execution = self.executions[arn]
        if action == "ListPipelineExecutionSteps":
            return {"PipelineExecutionSteps": list(execution.steps.values())[::-1]}
        execution.stop() if action.startswith("Stop") else execution.retry()
        return {"PipelineExecutionArn": arn}

    def _stop(self, name: str, start: Start) -> Iterable[bytes]:
        if name not in self.jobs:
            return no_job(name, start)
        self.jobs[name].stop()
        return plain(start, "200 OK", b"{}", "application/x-amz-json-1.1")

    def _of_apps(self, action: str, request: dict[str, Any], start: Start) -> Iterable[bytes]:
        try:
            return as_json(start, self.apps.answer(action, request))
        except AppsRefuse as error:
            return as_json(start, dict(zip(("__type", "message"), error.args, strict=True)), "400 Bad Request")

    def _update(self, request: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Of what the service lets one change: how long instances are kept."""
        job = self.jobs.get(str(request["TrainingJobName"]))
        if not isinstance(job, ManagedTrainingJob):
            return no_job(request["TrainingJobName"], start)
        job.keep(request["ResourceConfig"]["KeepAlivePeriodInSeconds"])
        return as_json(start, {"TrainingJobArn": job.arn})

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
        try:
            data = b"".join(self._moto(environ, lambda status, *_: said.append(status)))
            return said[0], json.loads(data or b"{}")
        except NotImplementedError:
            return "501 Not Implemented", {}
        except ValueError:
            if said[0].startswith("403"):  # moto says so in XML, whatever was asked
                return "400 Bad Request", {"__type": "AccessDeniedException", "message": message_of(data)}
            return "500 Internal Server Error", {}


def serve(place: Place) -> BaseWSGIServer:
    """A server on a free port of 127.0.0.1; `place.endpoint` is set to its address."""
    server = make_server("127.0.0.1", 0, StandIn(place), threaded=True, request_handler=MotoRequestHandler)
    place.endpoint = f"http://127.0.0.1:{server.server_port}"
    return server
