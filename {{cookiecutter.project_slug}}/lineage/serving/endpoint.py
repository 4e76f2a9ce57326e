"""An endpoint of SageMaker: what it runs, making it, changing it, asking it, deleting it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..base.env import PIPELINE_SERVE
from ..base.errors import ServingError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.tags import PROJECT_TAG, as_tags
from ..settings.params import Settings
from ..settings.serving import ENDPOINT_NAME, LONGEST_NAME
from .program.order import Order, read_order

POLL = 1.0  # seconds between two looks at an endpoint
UNDER_WAY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def endpoint_name(settings: Settings, given: str | None = None) -> str:
    """The given name, that of serving.endpoint.name, or that of the model with `-` for what SageMaker does not take.

    Raises ServingError for one that no endpoint can have.
    """
    if given is not None:
        if not re.fullmatch(ENDPOINT_NAME, given) or len(given) > LONGEST_NAME:
            raise ServingError(
                f"--endpoint {given[:200]!r} can be no name of an endpoint: letters, digits and - between them, "
                f"{LONGEST_NAME} at most."
            )
        return given
    named = re.sub("[^A-Za-z0-9]+", "-", settings.tracking.model_name).strip("-")[:63].rstrip("-")
    if not (settings.serving.endpoint.name or named):
        raise ServingError("serving.endpoint.name must be set: SageMaker knows no letter of the model's name.")
    return settings.serving.endpoint.name or named


@dataclass(frozen=True)
class Running:
    """What an endpoint is, as AWS says it. `order` is what its containers were told; None if that cannot be read."""

    name: str
    arn: str
    status: str
    failure: str
    config: str
    model: str  # the name of the Model in SageMaker
    order: Order | None
    coming: str  # the configuration that it is being changed to; empty if it is not
    capture: str  # the address that requests are kept at; empty if they are not
    tags: dict[str, str]


class Endpoints:
    """The endpoints of one account and region. Raises ServingError whatever AWS or the network say."""

    def __init__(self, aws: Aws, project_id: str) -> None:
        self.aws, self._project = aws, project_id

    @property
    def _client(self) -> Any:
        return self.aws.client("sagemaker")

    def names(self) -> list[str]:
        """The names of the endpoints that bear the mark of this project."""
        with translate_errors(ServingError, "could not list the endpoints"):
            pages = self._client.get_paginator("list_endpoints").paginate()
            found = [each for page in pages for each in page["Endpoints"]]
            return sorted(
                each["EndpointName"]
                for each in found
                if self._tags(each["EndpointArn"]).get(PROJECT_TAG) == self._project
            )

    def find(self, name: str) -> Running | None:
        """The endpoint of a name; None if there is none. Raises ServingError if it is not this project's."""
        with translate_errors(ServingError, f"could not look at the endpoint {name}"):
            found = self._describe(name)
            if found is None:
                return None
            tags = self._tags(found["EndpointArn"])
            if tags.get(PROJECT_TAG) != self._project:
                owner = f"project {tags[PROJECT_TAG]}" if PROJECT_TAG in tags else "nobody that this project knows"
                raise ServingError(
                    f"the endpoint {name} is of {owner}, so it is left alone. Another name: --endpoint NAME, or "
                    "serving.endpoint.name."
                )
            config = self._config(str(found.get("EndpointConfigName") or ""))
            variants = config.get("ProductionVariants") or [{}]
            model = str(variants[0].get("ModelName") or "")
            wanted = config.get("DataCaptureConfig") or {}
            return Running(
                name=name,
                arn=str(found["EndpointArn"]),
                status=str(found["EndpointStatus"]),
                failure=str(found.get("FailureReason") or ""),
                config=str(found.get("EndpointConfigName") or ""),
                model=model,
                order=self._order(model),
                coming=str((found.get("PendingDeploymentSummary") or {}).get("EndpointConfigName") or ""),
                capture=str(wanted["DestinationS3Uri"]) if wanted.get("EnableCapture") else "",
                tags=tags,
            )

    def _describe(self, name: str) -> dict[str, Any] | None:
        return self._if_there(lambda: self._client.describe_endpoint(EndpointName=name))

    def _config(self, name: str) -> dict[str, Any]:
        return self._if_there(lambda: self._client.describe_endpoint_config(EndpointConfigName=name)) or {}

    def _order(self, model: str) -> Order | None:
        """What the containers of a Model were told."""
        found = self._if_there(lambda: self._client.describe_model(ModelName=model)) if model else None
        environment = ((found or {}).get("PrimaryContainer") or {}).get("Environment") or {}
        try:
            return read_order(environment.get(PIPELINE_SERVE))
        except ServingError:
            return None

    @staticmethod
    def _if_there(ask: Any) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            return dict(ask())
        except ClientError as error:
            said = error.response["Error"]
            if said["Code"] in {"ValidationException", "ValidationError"} and "ould not find" in said.get(
                "Message", ""
            ):
                return None
            raise

    def _tags(self, arn: str) -> dict[str, str]:
        pages = self._client.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def create(self, name: str, config: str, tags: dict[str, str]) -> None:
        """Makes an endpoint. Returns at once."""
        with translate_errors(ServingError, f"could not make the endpoint {name}"):
            self._client.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=as_tags(tags))

    def update(self, name: str, config: str, canary: int | None, settings: Settings) -> None:
        """Brings another configuration into service beside the present one, which answers until then. Returns at once.

        With `canary` it gets that many percent of the instances first, and all of them only if no alarm goes off.
        """
        wanted = settings.serving.endpoint.canary
        routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        rollback: dict[str, Any] = {}
        if canary is not None:
            size = {"Type": "CAPACITY_PERCENT", "Value": canary}
            routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": wanted.minutes * 60}
            rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm} for alarm in wanted.alarms]}}
        deployment = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}, **rollback}
        with translate_errors(ServingError, f"could not change the endpoint {name}"):
            self._client.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)

    def wait(self, name: str) -> Iterator[str]:
        """Each new status of an endpoint, until nothing is under way any more."""
        last = ""
        while True:
            with translate_errors(ServingError, f"could not look at the endpoint {name}"):
                found = self._describe(name)
            status = str(found["EndpointStatus"]) if found else "gone"
            if status != last:
                yield status
            last = status
            if status not in UNDER_WAY:
                return
            time.sleep(POLL)  # between two looks

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Sets tags of an endpoint that is there."""
        with translate_errors(ServingError, f"could not tag {arn}"):
            self._client.add_tags(ResourceArn=arn, Tags=as_tags(tags))

    def delete(self, name: str) -> None:
        """Asks AWS to delete an endpoint. Returns at once."""
        with translate_errors(ServingError, f"could not delete the endpoint {name}"):
            self._client.delete_endpoint(EndpointName=name)

    def tidy(self, config: str, model: str) -> None:
        """Deletes a configuration and its Model. Whoever has deleted the configuration deletes its Model, too.

        Where rights ask for the tag of the project, what is not there is forbidden: hence the look before.
        """
        with translate_errors(ServingError, f"could not delete the configuration {config}"):
            if config and not self._config(config):
                return
            if config:
                self._if_there(lambda: self._client.delete_endpoint_config(EndpointConfigName=config) or {})
            if model:
                self._if_there(lambda: self._client.delete_model(ModelName=model) or {})
