"""`lineage batch`: every object below an S3 address to a proved version, by a batch transform of SageMaker."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ..base.errors import ProjectError, ServingError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.tags import as_tags
from .allowed import Permission
from .chain import chain_tags, note_reason
from .deploy import upload
from .endpoint import Endpoints, endpoint_name
from .files import bring, order_of
from .models import make_model

ADDRESS = re.compile(r"s3://[^/@?#]+/[^?#]*")
NOTE = "lineage.json"  # beside the answers: which model gave them
POLL = 2.0  # seconds between two looks
ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class Batched:
    """What became of it."""

    is_done: bool  # whether every object was answered
    text: str


def batch(permission: Permission, given: str, output: str, kind: str, tell: Callable[[str], None]) -> Batched:
    """Runs a transform to its end; Ctrl-C stops it. Raises ServingError if it cannot be begun."""
    for address in (given, output):
        if not ADDRESS.fullmatch(address):
            raise ServingError(f"{address!r} is no address on S3: s3://BUCKET/PREFIX/.")
    # S3 has no folders: without the slash, what lies below s3://b/scan-private would be sent for s3://b/scan
    given, output = (f"{address.rstrip('/')}/" for address in (given, output))
    case, settings = permission.case, permission.settings
    aws = Aws.of(settings)
    endpoints = Endpoints(aws, case.evidence.project_id)
    if below(aws, output):
        raise ServingError(
            f"there are objects below {output} already. Name an empty place, so that answers do not mix."
        )
    asked = len(below(aws, given))
    if not asked:
        raise ServingError(f"there are no objects below {given}.")
    noted = note_reason(permission, f"for a batch of {given} to {output}")
    tags = chain_tags(permission, noted)
    name = f"{endpoint_name(settings)[:40]}-{secrets.token_hex(8)}".lower()
    order = order_of(case, settings.serving.limits)
    model = make_model(aws, name, upload(aws, case, bring(case)), order, settings, tags)
    try:
        _start(aws, permission, (name, model), (given, output), kind, tags)
        ended = _follow(aws, name, tell)
        answers = len(below(aws, output))
        if ended["TransformJobStatus"] == "Completed":
            note = {"chain": tags, "transform_job": ended["TransformJobArn"], "input": given, "objects": asked}
            note |= {"answers": answers, "ended": datetime.now(UTC).isoformat(timespec="seconds")}
            note |= {"accepted": permission.reason} if permission.reason else {}
            aws.write(f"{output}{NOTE}", json.dumps(note, indent=2).encode() + b"\n")
    except BaseException:
        with suppress(ProjectError):  # what led here matters more
            endpoints.tidy("", model)
        raise
    return _ended(name, ended, (answers, asked, output), _tidied(endpoints, model))


def _tidied(endpoints: Endpoints, model: str) -> str:
    """What is left of a transform that is over: no reason to take its answers for lost."""
    try:
        endpoints.tidy("", model)
    except ProjectError as error:
        return f"The model {model} is left in SageMaker ({error}): `lineage aws cleanup` finds it."
    return ""


def _ended(name: str, ended: dict[str, Any], counted: tuple[int, int, str], left: str) -> Batched:
    answers, asked, output = counted
    status, failure = str(ended["TransformJobStatus"]), str(ended.get("FailureReason") or "")
    is_done = status == "Completed" and answers == asked
    shown = "Incomplete" if status == "Completed" and not is_done else status
    text = f"{name} {shown}: {answers} answers to {asked} objects at {output}. {failure} {left}"
    return Batched(is_done, " ".join(text.split()))


def _start(
    aws: Aws, permission: Permission, names: tuple[str, str], places: tuple[str, str], kind: str, tags: dict[str, str]
) -> None:
    settings, keys = permission.settings, aws.settings.kms
    wanted = settings.serving.endpoint
    most = max(1, int(-(-settings.serving.limits.megabytes // 1)))
    output: dict[str, Any] = {"S3OutputPath": places[1], "Accept": "application/json"}
    resources: dict[str, Any] = {"InstanceType": wanted.instance_type, "InstanceCount": wanted.instance_count}
    with translate_errors(ServingError, "could not start a batch transform"):
        aws.client("sagemaker").create_transform_job(
            TransformJobName=names[0],
            ModelName=names[1],
            MaxPayloadInMB=most,
            BatchStrategy="SingleRecord",
            MaxConcurrentTransforms=4 if most <= 25 else 1,  # the two multiplied may be 100
            ModelClientConfig={"InvocationsTimeoutInSeconds": min(3600, int(settings.serving.limits.seconds) + 30)},
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": places[0]}},
                "ContentType": kind,
                "SplitType": "None",
            },
            TransformOutput=output | ({"KmsKeyId": keys.output} if keys.output else {}),
            TransformResources=resources | ({"VolumeKmsKeyId": keys.volume} if keys.volume else {}),
            Tags=as_tags(tags),
        )


def _follow(aws: Aws, name: str, tell: Callable[[str], None]) -> dict[str, Any]:
    client, last = aws.client("sagemaker"), ""
    try:
        while True:
            with translate_errors(ServingError, f"could not look at the transform {name}"):
                found: dict[str, Any] = client.describe_transform_job(TransformJobName=name)
            if found["TransformJobStatus"] != last:
                last = str(found["TransformJobStatus"])
                tell(f"{name}: {last}")
            if last in ENDED:
                return found
            time.sleep(POLL)  # between two looks
    except BaseException:
        with translate_errors(ServingError, f"could not stop the transform {name}"):
            client.stop_transform_job(TransformJobName=name)
        raise


def below(aws: Aws, address: str) -> list[str]:
    """The keys of the objects below an S3 address, without those that are empty, as folders are."""
    parts = urlsplit(address)
    with translate_errors(ServingError, f"could not list {address}"):
        pages = aws.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=parts.netloc, Prefix=parts.path.lstrip("/"))
        return [item["Key"] for page in found for item in page.get("Contents", []) if item["Size"]]
