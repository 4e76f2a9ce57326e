"""Endpoints: models in containers behind InvokeEndpoint, changed without a gap, with a canary; data capture."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID

from .containers import Answer, Server
from .place import Place

LOOK = 0.1  # seconds between two looks at alarms
DRAIN = 60  # seconds that what is asked already has
INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"  # what who asks calls a request
VARIANT = "X-Amzn-Invoked-Production-Variant"


@dataclass
class Fleet:
    """What a configuration of an endpoint runs: its first variant, in one container whatever number was asked for."""

    config: dict[str, Any]
    server: Server
    asked: int = 0
    open: int = 0  # requests that it has not answered yet
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        return str(self.config["EndpointConfigName"])

    def count(self) -> int:
        with self._lock:
            self.asked += 1
            return self.asked


class Endpoint:
    """One endpoint. `shown` is moto's own object, which Describe and List answer from."""

    def __init__(self, place: Place, shown: Any) -> None:
        self._place, self._shown, self._name = place, shown, str(shown.endpoint_name)
        self._fleet: Fleet | None = None
        self._canary: tuple[Fleet, int] | None = None
        self._over = threading.Event()
        self._asked = 0
        self.coming = ""  # the configuration that is brought into service
        self._lock = threading.Condition()

    def begin(self, config: str, deployment: dict[str, Any] | None = None) -> None:
        """Brings a configuration into service, beside the one that is there. Returns at once."""
        self.coming = config
        self._say("Updating" if self._fleet else "Creating")
        threading.Thread(target=self._deploy, args=(config, deployment or {}), daemon=True).start()

    def _say(self, status: str, failure: str | None = None) -> None:
        self._shown.endpoint_status, self._shown.failure_reason = status, failure
        self._shown.last_modified_time = datetime.now(UTC)

    def _deploy(self, config: str, deployment: dict[str, Any]) -> None:
        try:
            fresh = self._start(config)
        except Exception as error:
            self._fail(str(error))
            return
        former = self._fleet
        if former is not None and (why := self._shift(fresh, deployment)):
            self._say("RollingBack")
            self._drain(fresh)
            self._fail(f"{why}, so the former configuration has all traffic again.")
            return
        with self._lock:
            if not (is_over := self._over.is_set()):
                self._fleet, self._canary = fresh, None
        if is_over:  # it was deleted meanwhile
            fresh.server.stop()
            return
        self._shown.endpoint_config_name = config
        self._shown.data_capture_config = _capture_shown(fresh.config)
        self.coming = ""
        self._say("InService")
        if former is not None:
            self._drain(former)

    def _drain(self, fleet: Fleet) -> None:
        """Ends a fleet that gets no more requests, when those that it has are answered."""
        with self._lock:
            self._lock.wait_for(lambda: not fleet.open, DRAIN)
        fleet.server.stop()

    def _start(self, config: str) -> Fleet:
        client = self._place.client("sagemaker")
        described = client.describe_endpoint_config(EndpointConfigName=config)
        variant = described["ProductionVariants"][0]
        model = client.describe_model(ModelName=variant["ModelName"])
        folder = self._place.state / "endpoints" / f"{self._name}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        stream = f"{variant['VariantName']}/{folder.name}"
        server = Server(self._place, folder, model, (f"/aws/sagemaker/Endpoints/{self._name}", stream))
        if not server.wait():
            server.stop()
            raise OSError(
                f"The container for production variant {variant['VariantName']} did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint."
            )
        return Fleet(described, server)

    def _shift(self, fresh: Fleet, deployment: dict[str, Any]) -> str:
        """Why the new fleet is taken back after a part of the traffic went to it; empty if nothing is wrong."""
        routing = (deployment.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration") or {}
        alarms = (deployment.get("AutoRollbackConfiguration") or {}).get("Alarms") or []
        if routing.get("Type", "ALL_AT_ONCE") == "ALL_AT_ONCE":
            return ""
        self._canary = (fresh, int(routing["CanarySize"]["Value"]))
        until = time.monotonic() + routing["WaitIntervalInSeconds"]
        while not self._over.is_set():
            if why := self._ringing(fresh, [alarm["AlarmName"] for alarm in alarms]):
                with self._lock:
                    self._canary = None
                return why
            if time.monotonic() >= until:
                break
            self._over.wait(LOOK)
        return ""

    def _ringing(self, fleet: Fleet, names: list[str]) -> str:
        """Which alarm went off, or that the role of the model may not look at them; empty if neither is so."""
        if not names:
            return ""
        try:
            for name in names:
                where = f"{self._place.region}:{DEFAULT_ACCOUNT_ID}"
                fleet.server.session.require("cloudwatch:DescribeAlarms", f"arn:aws:cloudwatch:{where}:alarm:{name}")
        except PermissionError as error:
            return str(error)
        found = self._place.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        ringing = next((alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"), "")
        return f"the alarm {ringing} went off" if ringing else ""

    def _fail(self, reason: str) -> None:
        self.coming = ""
        self._say("InService" if self._fleet else "Failed", reason)

    def _chosen(self) -> Fleet:
        """The fleet that the next request goes to: of a hundred, the canary gets as many as it shall have."""
        with self._lock:
            self._asked += 1
            number, canary, fleet = self._asked, self._canary, self._fleet
            assert fleet is not None
            chosen = canary[0] if canary and (number * canary[1]) % 100 < canary[1] else fleet
            chosen.open += 1
        return chosen

    @property
    def is_in_service(self) -> bool:
        return self._fleet is not None

    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """What InvokeEndpoint answers: that of the model, or status 424 with what the model said."""
        fleet = self._chosen()
        variant = fleet.config["ProductionVariants"][0]["VariantName"]
        try:
            status, said, data = fleet.server.ask("POST", "/invocations", body, headers)
        except OSError as error:
            status, said, data = 500, {}, str(error).encode()
        finally:
            with self._lock:
                fleet.open -= 1
                self._lock.notify_all()
        if status >= 300:
            return _model_error(status, data)
        self._capture(fleet, variant, (body, headers), (data, said))
        kept = {name: said[name] for name in ("content-type", "x-amzn-sagemaker-custom-attributes") if name in said}
        return 200, {**kept, VARIANT: variant}, data

    def _capture(
        self,
        fleet: Fleet,
        variant: str,
        request: tuple[bytes, dict[str, str]],
        answer: tuple[bytes, dict[str, str]],
    ) -> None:
        """Keeps a request with its answer, as the service's data capture does, one in each file.

        Who asks does not learn it if the role of the model may not.
        """
        wanted = fleet.config.get("DataCaptureConfig") or {}
        percent = wanted.get("InitialSamplingPercentage", 0) if wanted.get("EnableCapture") else 0
        if not (fleet.count() * percent) % 100 < percent:
            return
        now, as_json = datetime.now(UTC), (wanted.get("CaptureContentTypeHeader") or {}).get("JsonContentTypes") or []
        kinds = (request[1].get("Content-Type", ""), answer[1].get("content-type", ""))
        line = {
            "captureData": {
                "endpointInput": _captured("INPUT", request[0], kinds[0], as_json),
                "endpointOutput": _captured("OUTPUT", answer[0], kinds[1], as_json),
            },
            "eventMetadata": {
                "eventId": secrets.token_hex(16),
                **({"inferenceId": request[1][INFERENCE_ID]} if INFERENCE_ID in request[1] else {}),
                "inferenceTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "eventVersion": "0",
        }
        place = urlsplit(wanted["DestinationS3Uri"])
        prefix = "/".join(part for part in (place.path.strip("/"), self._name, variant) if part)
        key = f"{prefix}/{now:%Y/%m/%d/%H}/{now:%M-%S-%f}-{secrets.token_hex(8)}.jsonl"
        data = json.dumps(line).encode() + b"\n"
        with contextlib.suppress(ClientError):
            fleet.server.session.client("s3").put_object(Bucket=place.netloc, Key=key, Body=data)

    def end(self) -> None:
        """Ends its containers."""
        with self._lock:
            self._over.set()
            running = (self._fleet, self._canary[0] if self._canary else None)
        for fleet in running:
            if fleet is not None:
                fleet.server.stop()


def _captured(mode: str, data: bytes, kind: str, as_json: list[str]) -> dict[str, Any]:
    plain = kind in as_json
    text = data.decode(errors="replace") if plain else base64.b64encode(data).decode()
    return {"observedContentType": kind, "mode": mode, "data": text, "encoding": "JSON" if plain else "BASE64"}


def _capture_shown(config: dict[str, Any]) -> dict[str, Any] | None:
    wanted = config.get("DataCaptureConfig")
    if not wanted:
        return None
    return {
        "EnableCapture": bool(wanted.get("EnableCapture")),
        "CaptureStatus": "Started" if wanted.get("EnableCapture") else "Stopped",
        "CurrentSamplingPercentage": wanted["InitialSamplingPercentage"],
        "DestinationS3Uri": wanted["DestinationS3Uri"],
        "KmsKeyId": "",
    }


def _model_error(status: int, data: bytes) -> Answer:
    text = data.decode(errors="replace")
    kind = "client" if status < 500 else "server"
    document = {
        "ErrorCode": f"{kind.upper()}_ERROR_FROM_MODEL",
        "OriginalStatusCode": status,
        "OriginalMessage": text,
        "LogStreamArn": "",
        "Message": f'Received {kind} error ({status}) from primary with message "{text}".',
    }
    headers = {"content-type": "application/json", "x-amzn-ErrorType": "ModelError"}
    return 424, headers, json.dumps(document).encode()
