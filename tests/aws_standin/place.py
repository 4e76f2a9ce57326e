"""Where jobs run, and how they and the server reach the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3


@dataclass
class Place:
    """Where jobs run: what a container of this machine gets to see."""

    state: Path
    images: dict[str, Path]  # folder of executables by image
    endpoint: str
    region: str
    grace: float  # seconds that a job has to stop
    environment: dict[str, str] = field(default_factory=dict)
    mlflow: Path | None = None  # folder of the executables that MLflow apps run

    def client(self, service: str) -> Any:
        return client_of(service, self.endpoint, self.region)


@cache
def client_of(service: str, endpoint: str, region: str) -> Any:
    """A client of the stand-in. To make one takes 0.1 s; several threads may use it."""
    keys = {"aws_access_key_id": "standin", "aws_secret_access_key": "standin"}
    return boto3.client(service, endpoint_url=endpoint, region_name=region, **keys)
