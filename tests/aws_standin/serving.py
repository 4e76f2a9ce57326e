"""What SageMaker's API says of endpoints and batch transform, in place of moto, which runs none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from .containers import Answer
from .endpoints import Endpoint
from .place import Place
from .transforms import Transform

ACCOUNT = "123456789012"
Ask = Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]]]  # moto, by action and request


class Serving:
    """All endpoints and transform jobs."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._endpoints: dict[str, Endpoint] = {}
        self._transforms: dict[str, Transform] = {}
        self._change = threading.Lock()  # two changes of one endpoint: the second is refused

    def invoke(self, name: str, body: bytes, headers: dict[str, str]) -> Answer:
        """InvokeEndpoint."""
        endpoint = self._endpoints.get(name)
        if endpoint is None or not endpoint.is_in_service:
            said = {"Message": f"Endpoint {name} of account {ACCOUNT} not found.", "ErrorCode": "ValidationError"}
            headers = {"content-type": "application/json", "x-amzn-ErrorType": "ValidationError"}
            return 400, headers, json.dumps(said).encode()
        return endpoint.invoke(body, headers)

    def handle(self, action: str, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]] | None:
        """Status and answer of a call; None where it has nothing to do with serving."""
        handler = getattr(self, f"_{action}", None)
        return handler(request, ask) if handler else None

    def _shown(self, name: str) -> Any:
        return sagemaker_backends[ACCOUNT][self._place.region].endpoints[name]

    def _CreateEndpoint(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802  the action
        name = request["EndpointName"]
        with self._change:
            if name in self._endpoints:
                return _refused(f'Cannot create already existing endpoint "{self._shown(name).arn}".')
            status, answer = ask("CreateEndpoint", request)
            if status.startswith("200"):
                self._endpoints[name] = Endpoint(self._place, self._shown(name))
                self._endpoints[name].begin(request["EndpointConfigName"])
        return status, answer

    def _DescribeEndpoint(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802
        status, answer = ask("DescribeEndpoint", request)
        endpoint = self._endpoints.get(request["EndpointName"])
        if status.startswith("200") and endpoint is not None and endpoint.coming:
            answer["PendingDeploymentSummary"] = {"EndpointConfigName": endpoint.coming}
        return status, answer

    def _UpdateEndpoint(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802
        name, config = request["EndpointName"], request["EndpointConfigName"]
        if name not in self._endpoints:
            return _refused(f'Could not find endpoint "{name}".')
        status, answer = ask("DescribeEndpointConfig", {"EndpointConfigName": config})
        if not status.startswith("200"):
            return status, answer
        with self._change:
            if self._shown(name).endpoint_status not in ("InService", "Failed"):
                return _refused(f"Cannot update in-progress endpoint {name}.")
            self._endpoints[name].begin(config, request.get("DeploymentConfig"))
        return "200 OK", {"EndpointArn": self._shown(name).arn}

    def _DeleteEndpoint(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802
        status, answer = ask("DeleteEndpoint", request)
        if status.startswith("200") and (endpoint := self._endpoints.pop(request["EndpointName"], None)):
            endpoint.end()
        return status, answer

    def _AddTags(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802
        """Replaces the value of a key that is there, which moto does not."""
        keys = [tag["Key"] for tag in request["Tags"]]
        ask("DeleteTags", {"ResourceArn": request["ResourceArn"], "TagKeys": keys})
        return ask("AddTags", request)

    def _CreateTransformJob(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802
        status, answer = ask("CreateTransformJob", request)
        if status.startswith("200"):
            self._transforms[request["TransformJobName"]] = Transform(self._place, request)
        return status, answer

    def _DescribeTransformJob(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802
        status, answer = ask("DescribeTransformJob", request)
        if status.startswith("200"):
            for key in ("FailureReason", "TransformEndTime", "LabelingJobArn", "AutoMLJobArn", "Tags"):
                answer.pop(key, None)
            answer |= self._transforms[request["TransformJobName"]].describe()
        return status, answer

    def _StopTransformJob(self, request: dict[str, Any], ask: Ask) -> tuple[str, dict[str, Any]]:  # noqa: N802
        if request["TransformJobName"] not in self._transforms:
            return _refused(f"Could not find requested job with name: {request['TransformJobName']}")
        self._transforms[request["TransformJobName"]].stop()
        return "200 OK", {}

    def end(self) -> None:
        """Ends all containers."""
        for running in (*self._endpoints.values(), *self._transforms.values()):
            running.end()


def _refused(message: str) -> tuple[str, dict[str, Any]]:
    return "400 Bad Request", {"__type": "ValidationException", "message": message}
