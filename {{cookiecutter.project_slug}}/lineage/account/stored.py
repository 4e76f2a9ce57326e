"""Objects in S3: those at an address, some of them as one thing that is left, and deleting that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..base.errors import DispatchError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from .found import Found
from .left import Left, below, parted, young

MANY = 1000  # versions that S3 deletes in one call


@dataclass(frozen=True)
class Stored:
    """An object in S3."""

    address: str
    size: int
    modified: datetime


def listed(found: Found, place: str) -> list[Stored]:
    """The objects at or below an address. Raises DispatchError where AWS refuses."""
    bucket, key = parted(place)
    with translate_errors(DispatchError, f"could not list {place}"):
        pages = found.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        every = [
            Stored(f"s3://{bucket}/{item['Key']}", int(item["Size"]), item["LastModified"])
            for page in pages
            for item in page.get("Contents", [])
        ]
    return [each for each in every if below([place], each.address)]


def written(objects: Sequence[Stored], days: float) -> str:
    """Why some objects stay that were put there in the last `days` days; empty if all are older."""
    return young(max(each.modified for each in objects), days, "it was written")


def group(found: Found, kind: str, name: str, objects: Sequence[Stored], kept: str) -> Left:
    """Some objects as one thing."""
    size = sum(each.size for each in objects)
    cost = f"storage of {len(objects)} objects, {size / 2**20:.2f} MiB"
    addresses = tuple(each.address for each in objects)
    return Left(kind, name, cost, kept, addresses=addresses, usd_month=found.prices.stored(size))


def delete_objects(aws: Aws, item: Left) -> None:
    """Deletes the objects of a thing with all their versions: where a bucket keeps these, the bytes would stay."""
    bucket = parted(item.addresses[0])[0] if item.addresses else ""
    wanted = list(_versions(aws, bucket, {parted(address)[1] for address in item.addresses}))
    for start in range(0, len(wanted), MANY):
        asked = {"Objects": wanted[start : start + MANY], "Quiet": True}
        if errors := aws.client("s3").delete_objects(Bucket=bucket, Delete=asked).get("Errors"):
            raise DispatchError(f"S3 kept {len(errors)} objects, {errors[0]['Key']} first: {errors[0].get('Message')}")


def _versions(aws: Aws, bucket: str, keys: set[str]) -> Iterator[dict[str, Any]]:
    """Every version of some objects, marks of deletion too. A bucket that keeps none has one of each object."""
    pages = aws.client("s3").get_paginator("list_object_versions")
    for folder in sorted({key.rpartition("/")[0] for key in keys}):
        for page in pages.paginate(Bucket=bucket, Prefix=f"{folder}/" if folder else "", Delimiter="/"):
            for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                if one["Key"] in keys:
                    yield {"Key": one["Key"], "VersionId": one["VersionId"]}
