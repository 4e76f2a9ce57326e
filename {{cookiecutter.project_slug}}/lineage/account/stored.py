"""Objects in S3: those at an address, and some of them as one thing that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..base.errors import DispatchError
from ..base.translated import translate_errors
from .found import Found
from .left import Left, below, parted


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


def group(found: Found, kind: str, name: str, objects: Sequence[Stored], kept: str) -> Left:
    """Some objects as one thing."""
    size = sum(each.size for each in objects)
    cost = f"storage of {len(objects)} objects, {size / 2**20:.2f} MiB"
    addresses = tuple(each.address for each in objects)
    return Left(kind, name, cost, kept, addresses=addresses, usd_month=found.prices.stored(size))
