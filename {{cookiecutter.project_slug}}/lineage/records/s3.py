"""Objects in S3, with the credentials of the environment."""

from __future__ import annotations

import os
import re
from typing import Any

ADDRESS = re.compile(r"s3://([^/@?#]+)/([^?#]+)", re.IGNORECASE)  # of one object
CONNECTIONS = 16


def client() -> Any:
    """A client that tries again where the network or AWS fail for a while. It may be used by several threads."""
    import boto3
    from botocore.config import Config

    options = Config(retries={"mode": "standard"}, max_pool_connections=CONNECTIONS)
    # boto3 itself does not look at AWS_REGION, which AWS's other tools and containers set
    return boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=options)


def read(bucket: str, key: str) -> bytes:
    """The bytes of one object."""
    data: bytes = client().get_object(Bucket=bucket, Key=key)["Body"].read()
    return data
