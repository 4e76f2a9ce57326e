"""Where jobs run, and how they and the server reach the API."""

from __future__ import annotations

from dataclasses import dataclass, field
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

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "standin", "aws_secret_access_key": "standin"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=self.region, **keys)
