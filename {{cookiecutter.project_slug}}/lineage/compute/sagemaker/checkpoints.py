"""Checkpoints of Training jobs: a folder that SageMaker keeps in S3, at an address for the inputs of the stage.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from ...base.errors import DispatchError
from ...base.printable import printable
from ...base.translated import translate_errors
from ...run.checkpoints import NOTES, key_of
from ...run.given import Given
from .aws import Aws
from .jobs import ENDED, POLL

FOLDER = "/opt/ml/checkpoints"  # of a job, which SageMaker keeps in S3
MOST = 2**20  # bytes of notes that are read
PATIENCE = 300  # seconds that a job has to stop; the service gives it two minutes


def address_for(aws: Aws, given: Given) -> str:
    """Where a job with these inputs keeps its checkpoints, and finds those of an earlier one that came to no end.

    One that is being stopped is waited for. While one goes on, it is another place: two would write over each other's.
    """
    address = aws.address("checkpoints", key_of(given.entry())[:32])
    name = _last_job(aws.read(f"{address}/{NOTES}", MOST))
    if name is None:
        return address
    until, told = time.monotonic() + PATIENCE, False
    while (status := _status(aws, name)) == "Stopping" and time.monotonic() < until:
        if not told:
            print(f"job {printable(name)} had the same inputs and is being stopped: it is waited for.", flush=True)
        told = True
        time.sleep(POLL)  # between two looks
    return address if status in (None, *ENDED) else f"{address}-{secrets.token_hex(4)}"


def _last_job(notes: bytes | None) -> str | None:
    """The job that has noted last that it began. Whoever can write to the bucket may have written it."""
    try:
        last = json.loads(notes or b"[]")[-1]
        return str(last["sagemaker_job_name"])
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def _status(aws: Aws, name: str) -> str | None:
    """That of a Training job; None if there is none of this name."""
    client = aws.client("sagemaker")
    with translate_errors(DispatchError, f"could not look at job {name}"):
        try:
            seen: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFound", "ValidationException"):
                return None
            raise
    return str(seen["TrainingJobStatus"])


def parts_for_step(aws: Aws, execution: Any, step: str) -> list[Any]:
    """Where a step of a pipeline keeps its checkpoints, in parts for `/`. `execution` may be a variable of the SDK's.

    They are of one execution, as inputs are not known before: it is retried with them. Whatever lies there, a job takes
    only what was saved for the inputs that it has.
    """
    return [aws.address("checkpoints"), execution, step]


def forget(aws: Aws, address: str) -> None:
    """Removes checkpoints: there is a result. Where that is forbidden, the result stands all the same."""
    try:
        remove(aws, address)
    except DispatchError as error:
        print(f"warning: {error} They are of no use any more.", file=sys.stderr, flush=True)


def remove(aws: Aws, address: str) -> None:
    """Deletes what is kept at an address. Raises DispatchError if it cannot be."""
    parts, client = urlsplit(address), aws.client("s3")
    with translate_errors(DispatchError, f"could not delete the checkpoints at {address}"):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=parts.netloc, Prefix=f"{parts.path.lstrip('/')}/"
        )
        for item in [item for page in pages for item in page.get("Contents", [])]:
            client.delete_object(Bucket=parts.netloc, Key=item["Key"])
