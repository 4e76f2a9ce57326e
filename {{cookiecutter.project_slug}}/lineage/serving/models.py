"""What an endpoint or a transform runs, in SageMaker's words: a Model, and a configuration of an endpoint."""

from __future__ import annotations

import secrets
from typing import Any

from ..base.env import PIPELINE_SERVE
from ..base.errors import ServingError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.tags import as_tags
from ..settings.params import Settings
from .program.order import Order

VARIANT = "AllTraffic"
JSON = "application/json"


def make_model(aws: Aws, name: str, address: str, order: Order, settings: Settings, tags: dict[str, str]) -> str:
    """A Model of SageMaker's: the archive at an S3 address, and the order that its container gets. Returns its name."""
    wanted, project = settings.serving.endpoint, aws.settings
    role, image = wanted.role or project.role, wanted.image or project.image
    if role is None or image is None:
        what = "serving.endpoint.role" if role is None else "serving.endpoint.image"
        raise ServingError(
            f"{what} must be set, in conf/serving/default.yaml or by `lineage compose {what}=...`: the image made "
            "from this project's Dockerfile, and a role that may read the bucket (docs/serving.md)."
        )
    container = {"Image": image, "ModelDataUrl": address, "Environment": {PIPELINE_SERVE: order.model_dump_json()}}
    network = project.network
    vpc = {"VpcConfig": {"Subnets": network.subnets, "SecurityGroupIds": network.security_groups}}
    model = f"{name[:40]}-{secrets.token_hex(8)}".lower()
    with translate_errors(ServingError, "could not make a model in SageMaker"):
        aws.client("sagemaker").create_model(
            ModelName=model,
            ExecutionRoleArn=role,
            PrimaryContainer=container,
            EnableNetworkIsolation=True,  # it asks nobody: what it is sent stays in it
            Tags=as_tags(tags),
            **(vpc if network.subnets else {}),
        )
    return model


def make_config(aws: Aws, model: str, settings: Settings, tags: dict[str, str]) -> str:
    """How an endpoint runs a Model. Returns the name, which is that of the Model."""
    wanted, project = settings.serving.endpoint, aws.settings
    variant = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InitialInstanceCount": wanted.instance_count,
        "InstanceType": wanted.instance_type,
        "InitialVariantWeight": 1.0,
    }
    more: dict[str, Any] = {"KmsKeyId": project.kms.volume} if project.kms.volume else {}
    if wanted.capture.percent:
        more["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": wanted.capture.percent,
            "DestinationS3Uri": wanted.capture.address or aws.address("captured"),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": [JSON]},
            **({"KmsKeyId": project.kms.output} if project.kms.output else {}),
        }
    with translate_errors(ServingError, "could not make a configuration of the endpoint"):
        aws.client("sagemaker").create_endpoint_config(
            EndpointConfigName=model, ProductionVariants=[variant], Tags=as_tags(tags), **more
        )
    return model
