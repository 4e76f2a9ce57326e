"""Typed settings of serving: what a request may ask for, and the endpoint."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from .section import Positive, Section

ENDPOINT_NAME, LONGEST_NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", 63  # as SageMaker wants it
EndpointName = Annotated[str, Field(pattern=f"^{ENDPOINT_NAME}$", max_length=LONGEST_NAME)]
Percent = Annotated[int, Field(ge=0, le=100, strict=True)]


class Limits(Section):
    """What a request to the program `serve` may ask for."""

    megabytes: Annotated[float, Field(gt=0, le=100)]  # the most that SageMaker lets through to batch transform
    images: Positive
    seconds: Annotated[float, Field(gt=0, le=3600)]
    waiting: Annotated[int, Field(ge=0, strict=True)]
    threads: Positive | None


class Canary(Section):
    minutes: Annotated[int, Field(ge=0, le=60, strict=True)]  # SageMaker waits an hour at most
    alarms: list[Annotated[str, Field(min_length=1, max_length=255)]]


class Capture(Section):
    percent: Percent
    address: str | None

    @field_validator("address")
    @classmethod
    def _is_on_s3(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"s3://[^/@?#]+(/[^?#]*)?", address):
            raise ValueError("must be an s3:// address without user, key or token")
        return address


class Endpoint(Section):
    name: EndpointName | None
    role: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")] | None
    image: str | None
    instance_type: Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")]
    instance_count: Positive
    canary: Canary
    capture: Capture


class Serving(Section):
    limits: Limits
    endpoint: Endpoint
