"""Logs in CloudWatch: of jobs, of batch transforms, of endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from ..base.errors import DispatchError
from ..base.translated import translate_errors
from .found import UNDER_WAY, Found
from .left import Left, young

ROOT = "/aws/sagemaker"


def log_of(found: Found, what: str, group: str, kept: str, prefix: str = "") -> Left | None:
    """The streams of a group whose names begin with `prefix`, as the log of `what`; None if there are none."""
    client, asked = found.aws.client("logs"), {"logGroupName": f"{ROOT}/{group}"}
    asked |= {"logStreamNamePrefix": prefix} if prefix else {}
    with translate_errors(DispatchError, f"could not look for the log of {what}"):
        try:
            pages = client.get_paginator("describe_log_streams").paginate(**asked)
            streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        except client.exceptions.ResourceNotFoundException:
            return None
    if not streams:
        return None
    names = tuple(f"{ROOT}/{group}:{name}" for name in streams)
    return Left("log", what, "storage; AWS does not say of how much", kept, addresses=names, usd_month=None)


def of_transforms(found: Found, days: float) -> list[Left]:
    """The logs of batch transforms. What answered which object is in `lineage.json` beside the answers."""
    left = []
    for said in found.transforms:
        called, status = str(said["TransformJobName"]), str(said["TransformJobStatus"])
        kept = f"the job is {status}" if status in UNDER_WAY else ""
        kept = kept or young(said.get("TransformEndTime"), days, "the job ended")
        left.append(log_of(found, f"transform {called}", "TransformJobs", kept, f"{called}/"))
    return [log for log in left if log is not None]


def of_endpoints(found: Found, served: Sequence[Left], usual: str) -> list[Left]:
    """The logs of the endpoints in `served`, which go with them, and of the one that is called `usual`.

    Where that is gone, nothing says whose the log is: a group of logs has no tag, and names are used again.
    """
    endpoints = [each for each in served if each.kind == "endpoint"]
    wanted = {each.name: "" if each.goes else "the endpoint stays" for each in endpoints}
    if usual and usual.lower() not in {name.lower() for name in (*wanted, *found.names["endpoint"])}:
        wanted[usual] = (
            "this project has no such endpoint now, and the log does not say whose it was: `aws logs delete-log-group "
            f"--log-group-name {ROOT}/Endpoints/{usual}` deletes it, if it is yours"
        )
    left = [log_of(found, f"endpoint {name}", f"Endpoints/{name}", kept) for name, kept in wanted.items()]
    return [log for log in left if log is not None]
