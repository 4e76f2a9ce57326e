"""What somebody has asked for, and goes only by name: answers of batch transforms, requests that endpoints kept."""

from __future__ import annotations

from collections.abc import Collection

from ..base.errors import DispatchError
from ..erasure.beyond import kept_requests
from ..proof.case import Evidence
from ..serving.batch import NOTE
from .found import UNDER_WAY, Found
from .left import Also, Left, below
from .stored import Stored, group, listed, written

ANSWERS = (".out", f"/{NOTE}")  # how the names of what a batch leaves end


def answers(found: Found, also: Collection[Also], days: float) -> list[Left]:
    """What the batch transforms of this project have answered. What was written in the last `days` days stays."""
    left = []
    for said in found.transforms:
        place, status = str(said["TransformOutput"]["S3OutputPath"]).rstrip("/"), str(said["TransformJobStatus"])
        kept = f"the job is {status}" if status in UNDER_WAY else _unless(Also.answers, also)
        try:
            objects = [each for each in listed(found, place) if each.address.endswith(ANSWERS)]
        except DispatchError as error:
            left.append(_unseen("answers", place, error))
            continue
        if objects:
            kept = kept or written(objects, days)
            left.append(group(found, "answers", f"{place} of {said['TransformJobName']}", objects, kept))
    return left


def captured(found: Found, evidence: Evidence, also: Collection[Also], days: float) -> list[Left]:
    """What endpoints have kept of requests, where their configurations or the settings of any commit say they do.

    What was written in the last `days` days stays.
    """
    default, writing = found.aws.address("captured"), _writing(found)
    places = {default, *(place.rstrip("/") for place in kept_requests(evidence)), *writing}
    left = []
    for place in sorted(place for place in places if not below(places - {place}, place)):
        by_endpoint: dict[str, list[Stored]] = {}
        try:
            for each in listed(found, place):
                name = "" if place in writing else each.address.removeprefix(f"{place}/").partition("/")[0]
                by_endpoint.setdefault(f"{place}/{name}".rstrip("/"), []).append(each)
        except DispatchError as error:
            left.append(_unseen("captured", place, error))
        for where, objects in sorted(by_endpoint.items()):
            if where in writing:
                kept = "the endpoint goes on writing there"
            elif below([default], where):
                kept = _unless(Also.captured, also) or written(objects, days)
            else:
                kept = "it is not in the folder of this project: `aws s3 rm --recursive` deletes it, if it is yours"
            left.append(group(found, "captured", where, objects, kept))
    return left


def _writing(found: Found) -> set[str]:
    """Where the endpoints that are there keep requests: below the address, each in a folder of its own."""
    places = set()
    for name in found.names["endpoint"]:
        said = found.described("endpoint", "describe_endpoint", EndpointName=name) or {}
        wanted = said.get("DataCaptureConfig") or {}
        if wanted.get("EnableCapture"):
            places.add(f"{str(wanted['DestinationS3Uri']).rstrip('/')}/{said['EndpointName']}")
    return places


def _unless(what: Also, also: Collection[Also]) -> str:
    return "" if what in also else f"somebody asked for it: `--also {what}` deletes it"


def _unseen(kind: str, place: str, error: DispatchError) -> Left:
    return Left(kind, place, "storage; of how much is not known", str(error), usd_month=None)
