"""Executions of pipelines: steps in their order, each a job that runs, a condition, an end, or lineage."""

from __future__ import annotations

import json
import secrets
import string
import threading
import time
from typing import Any

from .entities import Entities
from .expressions import RefusedError, follow, holds, parameters, references, resolve
from .place import Place
from .sessions import Session

ENDED = ("Completed", "Failed", "Stopped")
LOOK = 0.1  # seconds between two looks at a job
OVER = ("Succeeded", "Failed", "Stopped")


class StepError(Exception):
    """Why a step failed."""


class Execution:
    """One execution. `state` is what moto keeps of it, and shows."""

    def __init__(self, place: Place, entities: Entities, state: Any, role: str) -> None:
        """`role` is that of its pipeline. Raises RefusedError if it cannot be started with these parameters."""
        self._place, self._entities, self._state, self._role = place, entities, state, role
        self._session: Session | None = None
        self._definition: dict[str, Any] = json.loads(state.pipeline_definition_for_execution)
        self._parameters = parameters(self._definition, state.pipeline_parameters or [])
        self._described: dict[str, Any] = {}  # what became of a step, for those that refer to it
        self._stopping = False
        self._ended_early = False  # by a step of the kind Fail
        self._change = threading.Condition()
        self.steps: dict[str, dict[str, Any]] = {}  # by name, in the order in which they began
        self.retries = 0
        self._go()

    @property
    def identity(self) -> str:
        return str(self._state.arn).rpartition("/")[2]

    def stop(self) -> None:
        """Returns at once, as the service does."""
        with self._change:
            if self._state.pipeline_execution_status == "Executing":
                self._state.pipeline_execution_status = "Stopping"
            self._stopping = True
            self._change.notify_all()

    def retry(self) -> None:
        """Goes on with the steps that failed or were stopped. Raises RefusedError if none did."""
        if self._state.pipeline_execution_status not in ("Failed", "Stopped"):
            raise RefusedError(f"Execution is {self._state.pipeline_execution_status}, and cannot be retried")
        self._stopping = self._ended_early = False
        kept = {name for name, step in self.steps.items() if step["StepStatus"] == "Succeeded"}
        # a condition that led to a step which failed is asked again
        self.steps = {name: step for name, step in self.steps.items() if name in kept and name in self._described}
        self.retries += 1
        self._go()

    def _go(self) -> None:
        self._state.pipeline_execution_status = "Executing"
        self._state.pipeline_execution_failure_reason = None
        threading.Thread(target=self._run, daemon=True).start()

    def _client(self, service: str) -> Any:
        """All that is done for a step is done as the role of the pipeline."""
        assert self._session is not None
        return self._session.client(service)

    def _run(self) -> None:
        try:
            self._session = Session(self._place, self._role)
        except Exception as error:
            self._state.pipeline_execution_failure_reason = str(error)
            self._state.pipeline_execution_status = "Failed"
            return
        waiting = {step["Name"]: step for step in self._definition["Steps"] if step["Name"] not in self.steps}
        with self._change:
            while True:
                done = {name for name, step in self.steps.items() if step["StepStatus"] == "Succeeded"}
                going = [step for step in self.steps.values() if step["StepStatus"] not in OVER]
                halted = self._stopping or self._ended_early
                ready = [] if halted else [step for step in waiting.values() if _needs(step) <= done]
                for step in ready:
                    del waiting[step["Name"]]
                    self._begin(step, waiting)
                if not ready and not going:
                    break
                if not ready:
                    self._change.wait()
        failed = [step for step in self.steps.values() if step["StepStatus"] == "Failed"]
        if failed:
            reasons = ", ".join(step["StepName"] for step in failed)
            self._state.pipeline_execution_failure_reason = f"Step failure: {reasons} failed."
        self._state.pipeline_execution_status = "Stopped" if self._stopping else "Failed" if failed else "Succeeded"

    def _begin(self, step: dict[str, Any], waiting: dict[str, Any]) -> None:
        entry = {"StepName": step["Name"], "StartTime": time.time(), "StepStatus": "Executing", "Metadata": {}}
        self.steps[step["Name"]] = {**entry, "AttemptCount": self.retries + 1}
        threading.Thread(target=self._work, args=(step, waiting), daemon=True).start()

    def _work(self, step: dict[str, Any], waiting: dict[str, Any]) -> None:
        entry, status = self.steps[step["Name"]], "Failed"
        try:
            works = {"Condition": self._condition, "Fail": self._fail, "Lineage": self._lineage}
            more = works.get(step["Type"], self._job)(step, entry)
            status = "Succeeded"
        except Exception as error:
            entry["FailureReason"], more = str(error), []
            status = "Stopped" if self._stopping else "Failed"
        with self._change:
            entry |= {"StepStatus": status, "EndTime": time.time()}
            waiting.update({each["Name"]: each for each in more if each["Name"] not in self.steps})
            self._ended_early = self._ended_early or step["Type"] == "Fail"
            self._change.notify_all()

    def _job(self, step: dict[str, Any], entry: dict[str, Any]) -> list[Any]:
        kind, client = step["Type"], self._client("sagemaker")
        if kind not in ("Training", "Processing"):
            raise StepError(f"no steps of the kind {kind} here")
        of_kind = kind.lower()
        end = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(10))
        name = {f"{kind}JobName": f"pipelines-{self.identity}-{step['Name'][:20]}-{end}"}
        getattr(client, f"create_{of_kind}_job")(**name, **self._value(step["Arguments"]))
        asked = False
        while True:
            said = getattr(client, f"describe_{of_kind}_job")(**name)
            entry["Metadata"] = {f"{kind}Job": {"Arn": said[f"{kind}JobArn"]}}
            if said[f"{kind}JobStatus"] in ENDED:
                break
            if self._stopping and not asked:
                getattr(client, f"stop_{of_kind}_job")(**name)
                asked = True
            time.sleep(LOOK)  # between two looks
        self._described[step["Name"]] = {**said, "PropertyFiles": step.get("PropertyFiles") or []}
        if said[f"{kind}JobStatus"] != "Completed":
            why = said.get("FailureReason") or f"its job is {said[f'{kind}JobStatus']}"
            raise StepError(f"ClientError: {why}")
        return []

    def _condition(self, step: dict[str, Any], entry: dict[str, Any]) -> list[Any]:
        asked = step["Arguments"]
        outcome = all(holds(condition, self._value) for condition in asked["Conditions"])
        entry["Metadata"] = {"Condition": {"Outcome": str(outcome)}}
        chosen: list[Any] = asked["IfSteps" if outcome else "ElseSteps"]
        return chosen

    def _fail(self, step: dict[str, Any], entry: dict[str, Any]) -> list[Any]:
        message = self._value(step["Arguments"]["ErrorMessage"])
        entry["Metadata"] = {"Fail": {"ErrorMessage": message}}
        raise StepError(message)

    def _lineage(self, step: dict[str, Any], entry: dict[str, Any]) -> list[Any]:
        assert self._session is not None
        self._described[step["Name"]] = self._entities.of_step(self._value(step["Arguments"]), self._session.require)
        return []

    def _value(self, value: Any) -> Any:
        return resolve(value, self._get, self._read)

    def _get(self, path: str) -> Any:
        head, _, rest = path.partition(".")
        if head == "Parameters":
            return self._parameters[rest]
        if head == "Execution":
            return {"PipelineExecutionId": self.identity, "PipelineExecutionArn": self._state.arn}[rest]
        step, _, inner = rest.partition(".")
        return follow(self._described[step], inner)

    def _read(self, path: str) -> Any:
        """The document of `Steps.STEP.PropertyFiles.NAME`."""
        _, step, _, name = path.split(".")
        said = self._described[step]
        file = next(each for each in said["PropertyFiles"] if each["PropertyFileName"] == name)
        outputs = said["ProcessingOutputConfig"]["Outputs"]
        place = next(each["S3Output"]["S3Uri"] for each in outputs if each["OutputName"] == file["OutputName"])
        bucket, _, key = place.removeprefix("s3://").partition("/")
        client = self._client("s3")
        return json.loads(client.get_object(Bucket=bucket, Key=f"{key.rstrip('/')}/{file['FilePath']}")["Body"].read())


def _needs(step: dict[str, Any]) -> set[str]:
    """The steps that must have succeeded: those it names, and those it refers to. Of a condition, not its branches'."""
    arguments = step["Arguments"]
    asked = arguments["Conditions"] if step["Type"] == "Condition" else arguments
    return {*(step.get("DependsOn") or []), *references(asked)}
