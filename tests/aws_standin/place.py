"""Where jobs run, and how they and the server reach the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3

ADMINISTRATOR = "standin"  # the access key that is allowed everything: that of the server itself, and of tests
# of jobs, while nobody is refused anything
ANYBODY = {"AWS_ACCESS_KEY_ID": "ROLEOFJOB", "AWS_SECRET_ACCESS_KEY": "of-the-job"}


@dataclass
class Place:
    """Where jobs run: what a container of this machine gets to see."""

    state: Path
    images: dict[str, Path]  # by URI: see roots.py
    endpoint: str
    region: str
    grace: float  # seconds that a job has to stop
    environment: dict[str, str] = field(default_factory=dict)
    # of a session in a role, by its ARN, and the service that takes it on where that is not SageMaker
    credentials: Callable[..., dict[str, str]] = field(default=lambda *_: ANYBODY)
    # raises PermissionError unless a session with these credentials may do something to a resource
    require: Callable[[dict[str, str], str, str], None] = field(default=lambda *_: None)
    mlflow: Path | None = None  # folder of the executables that MLflow apps run

    def client(self, service: str) -> Any:
        return client_of(service, self.endpoint, self.region)

    def client_with(self, service: str, credentials: dict[str, str]) -> Any:
        """A client of a role's session: the service itself reads and writes as the role of a job."""
        if credentials == ANYBODY:
            return self.client(service)
        keys = {name.lower(): value for name, value in credentials.items()}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=self.region, **keys)


@cache
def client_of(service: str, endpoint: str, region: str) -> Any:
    """A client of the stand-in. To make one takes 0.1 s; several threads may use it."""
    keys = {"aws_access_key_id": ADMINISTRATOR, "aws_secret_access_key": ADMINISTRATOR}
    return boto3.client(service, endpoint_url=endpoint, region_name=region, **keys)
