"""Pipelines and their executions in the account: made, started, looked at."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ....base.errors import DispatchError
from ....base.printable import printable
from ....base.translated import translate_errors
from ..aws import Aws
from ..tags import PROJECT_TAG, as_tags
from .lineage_step import commit_of
from .parameters import Parameters
from .plan import Plan

LARGEST = 100 * 2**10  # bytes of a definition in a request; a larger one is put on S3
ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[^:]+:\d+:pipeline/(?P<pipeline>[^/]+)/execution/(?P<id>[A-Za-z0-9]+)")


@dataclass(frozen=True)
class Step:
    """A step of an execution that has begun."""

    name: str
    status: str  # Starting, Executing, Stopping, Stopped, Failed or Succeeded
    failure: str
    job: str  # the ARN of its job; empty if it has none


@dataclass(frozen=True)
class Started:
    """An execution as it is now."""

    arn: str
    status: str  # Executing, Stopping, Stopped, Failed or Succeeded
    failure: str
    parameters: dict[str, str]  # by name, those not given as the definition has them
    steps: tuple[Step, ...]  # in the order in which they began
    definition: dict[str, Any]

    @property
    def identity(self) -> str:
        """Its id, as its jobs know it."""
        return self.arn.rpartition("/")[2]


def upsert(aws: Aws, name: str, definition: str, description: str) -> str:
    """Makes the pipeline, or gives it the new definition if there is one of this name. Returns its ARN.

    Raises DispatchError if that is another project's.
    """
    client, text = aws.client("sagemaker"), json.dumps(json.loads(definition))
    is_there = require_ours(aws, name)
    asked = {
        "PipelineName": name,
        "RoleArn": aws.settings.pipeline.role or aws.settings.role,
        "PipelineDescription": description,
        **_place(aws, name, text),
    }
    tags = as_tags(aws.tags)
    with translate_errors(DispatchError, f"could not make the pipeline {name}"):
        if is_there:
            return str(client.update_pipeline(**asked)["PipelineArn"])
        return str(client.create_pipeline(**asked, Tags=tags)["PipelineArn"])


def _place(aws: Aws, name: str, text: str) -> dict[str, Any]:
    if len(text.encode()) < LARGEST:
        return {"PipelineDefinition": text}
    address = aws.address("pipelines", name, "definition.json")
    aws.write(address, text.encode())
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return {"PipelineDefinitionS3Location": {"Bucket": bucket, "ObjectKey": key}}


def require_ours(aws: Aws, name: str) -> bool:
    """Whether there is a pipeline of this name. Raises DispatchError if it does not bear the mark of this project."""
    from botocore.exceptions import ClientError

    with translate_errors(DispatchError, f"could not look at the pipeline {name}"):
        try:
            arn = str(aws.client("sagemaker").describe_pipeline(PipelineName=name)["PipelineArn"])
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFound", "ValidationException"):
                return False
            raise
        whose = aws.tags_of(arn).get(PROJECT_TAG)
    if whose != aws.tags[PROJECT_TAG]:
        owner = f"project {printable(whose)}" if whose else "nobody that this project knows"
        raise DispatchError(
            f"the pipeline {name} is of {owner}, so it is left alone: an account has one of a name. Set "
            "compute.sagemaker.pipeline.name to another one, then commit."
        )
    return True


def require_this_commit(aws: Aws, plan: Plan) -> None:
    """Raises DispatchError unless the pipeline in the account is that of the commit that is checked out."""
    with translate_errors(
        DispatchError, f"could not find the pipeline {plan.name}; `lineage pipeline upsert` makes it"
    ):
        said = aws.client("sagemaker").describe_pipeline(PipelineName=plan.name).get("PipelineDescription") or ""
    if said != description_of(plan):
        raise DispatchError(
            f"the pipeline {plan.name} in the account is that of {printable(said) or 'an unknown commit'}, and "
            f"{plan.commit[:12]} is checked out. `lineage pipeline upsert` brings it there."
        )


def description_of(plan: Plan) -> str:
    """What the pipeline in the account says of where it comes from."""
    return f"commit {plan.commit}"


def start(aws: Aws, name: str, given: dict[str, str], parameters: Parameters) -> str:
    """Starts an execution. Returns its ARN. Raises DispatchError for a parameter that there is not, or not so."""
    known = {each.name: each for each in parameters.all}
    by_setting = {each.of: each.name for each in parameters.settings}
    chosen = {by_setting.get(key, key): value for key, value in given.items()}
    for key, value in chosen.items():
        if key not in known:
            raise DispatchError(f"the pipeline has no parameter {printable(key)}; it has {', '.join(known)}.")
        _require_kind(key, known[key].kind, value)
    pairs = [{"Name": key, "Value": value} for key, value in chosen.items()]
    with translate_errors(DispatchError, f"could not start the pipeline {name}; `lineage pipeline upsert` makes it"):
        asked = {"PipelineName": name, **({"PipelineParameters": pairs} if pairs else {})}
        return str(aws.client("sagemaker").start_pipeline_execution(**asked)["PipelineExecutionArn"])


def _require_kind(name: str, kind: str, text: str) -> None:
    patterns = {"Integer": r"-?\d+", "Float": r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", "Boolean": "true|false|True|False"}
    if not re.fullmatch(patterns.get(kind, r"[^\n]+"), text):
        raise DispatchError(f"{name} cannot be {text!r}: it is of the type {kind}.")


def arn_of(aws: Aws, pipeline: str, asked: str) -> str:
    """The ARN of an execution of a pipeline, that is named by it, or by its id. Raises DispatchError for others'."""
    if match := ARN.fullmatch(asked):
        if match["pipeline"].lower() != pipeline.lower():  # SageMaker writes ARNs in small letters
            raise DispatchError(
                f"{asked} is an execution of another pipeline, {match['pipeline']}; that of this project is {pipeline}."
            )
        return asked
    if not re.fullmatch(r"[A-Za-z0-9]+", asked):
        raise DispatchError(f"{printable(asked)} is neither the id nor the ARN of an execution.")
    with translate_errors(DispatchError, f"could not look for the executions of {pipeline}"):
        for found in listed(aws, pipeline):
            if found["PipelineExecutionArn"].endswith(f"/{asked}"):
                return str(found["PipelineExecutionArn"])
    raise DispatchError(f"the pipeline {pipeline} has no execution {asked}. `lineage pipeline status` lists them.")


def listed(aws: Aws, pipeline: str) -> list[dict[str, Any]]:
    """The executions of a pipeline as AWS lists them, newest first."""
    found: list[dict[str, Any]] = []
    token: str | None = None
    with translate_errors(DispatchError, f"could not list the executions of {pipeline}"):
        while True:
            more: dict[str, str] = {"NextToken": token} if token else {}
            answer = aws.client("sagemaker").list_pipeline_executions(PipelineName=pipeline, **more)
            found += answer["PipelineExecutionSummaries"]
            token = answer.get("NextToken")
            if not token:
                return sorted(found, key=lambda each: each["StartTime"], reverse=True)


def look(aws: Aws, arn: str) -> Started:
    """How an execution is."""
    client = aws.client("sagemaker")
    with translate_errors(DispatchError, f"could not look at {arn}"):
        said = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        text = client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)["PipelineDefinition"]
        given = _all(client.list_pipeline_parameters_for_execution, arn, "PipelineParameters")
        steps = _all(client.list_pipeline_execution_steps, arn, "PipelineExecutionSteps")
    definition = json.loads(text)
    defaults = {each["Name"]: _text(each.get("DefaultValue")) for each in definition.get("Parameters") or []}
    return Started(
        arn=arn,
        status=str(said["PipelineExecutionStatus"]),
        failure=str(said.get("FailureReason") or ""),
        parameters={**defaults, **{each["Name"]: each["Value"] for each in given}},
        steps=tuple(_step(each) for each in sorted(steps, key=lambda each: each["StartTime"])),
        definition=definition,
    )


def stop(aws: Aws, execution: Started) -> None:
    """Asks AWS to stop an execution with the jobs of its steps. Raises DispatchError if it is over."""
    if execution.status != "Executing":
        raise DispatchError(f"execution {execution.identity} is {execution.status}: there is nothing to stop.")
    with translate_errors(DispatchError, f"could not stop {execution.arn}"):
        aws.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=execution.arn)


def require_retryable(execution: Started, commit: str) -> None:
    """Raises DispatchError unless an execution of this commit can be gone on with."""
    if execution.status not in ("Failed", "Stopped"):
        raise DispatchError(f"execution {execution.identity} is {execution.status}: only one that failed is retried.")
    of = commit_of(execution.definition)
    if of != commit:
        raise DispatchError(
            f"execution {execution.identity} is of commit {of[:12]}, and {commit[:12]} is checked out, for whose data "
            f"consent is asked. `git switch --detach {of[:12]}`, then run this again."
        )


def retry(aws: Aws, arn: str) -> None:
    """Lets AWS go on with an execution: the steps that succeeded stay as they are."""
    with translate_errors(DispatchError, f"could not retry {arn}"):
        aws.client("sagemaker").retry_pipeline_execution(PipelineExecutionArn=arn)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _all(call: Any, arn: str, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token: str | None = None
    while True:
        answer = call(PipelineExecutionArn=arn, **({"NextToken": token} if token else {}))
        found += answer.get(key) or []
        token = answer.get("NextToken")
        if not token:
            return found


def _step(said: dict[str, Any]) -> Step:
    of_kind = next((value for value in (said.get("Metadata") or {}).values() if isinstance(value, dict)), {})
    return Step(
        said["StepName"], said["StepStatus"], str(said.get("FailureReason") or ""), str(of_kind.get("Arn") or "")
    )
