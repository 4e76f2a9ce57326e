"""What a bucket that keeps versions says of objects that are gone: when they were deleted, and whether it has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Deleted:
    """An object that was in a bucket."""

    moment: datetime
    is_kept: bool  # an older version of it can be brought back


def deleted_at(files: Any, path: str) -> Deleted | None:
    """When the object at a path of a remote's file system was deleted; None where nobody says, or it is no bucket.

    Raises what the file system raises.
    """
    if files.protocol != "s3":
        return None
    bucket, _, key = path.partition("/")
    answer = files.fs.call_s3("list_object_versions", Bucket=bucket, Prefix=key)
    markers = [item["LastModified"] for item in answer.get("DeleteMarkers", []) if item["Key"] == key]
    versions = any(item["Key"] == key for item in answer.get("Versions", []))
    return Deleted(max(markers), versions) if markers else None
