"""What a remote on S3 holds, from lists of a thousand objects each, where these are fewer than questions about each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WORTH = 40  # objects to ask about for which one list is asked for: it takes as long as ten of them


@dataclass(frozen=True)
class Listed:
    """Every object below a folder of a remote: what S3 says of it, by its path; and the folders that they are in."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


def listed(files: Any, folder: str, asked: int) -> Listed | None:
    """All that is below `folder` in the file system of a remote; None if it is quicker to ask about `asked` objects.

    None as well if it is not on S3. Raises what the file system raises.
    """
    if files.protocol != "s3":
        return None
    found, further = Listed(), dict[str, str]()
    bucket, _, prefix = folder.partition("/")
    for _ in range(asked // WORTH):
        answer = files.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=f"{prefix}/", **further)
        for item in answer.get("Contents", []):
            path = f"{bucket}/{item['Key']}"
            found.objects[path] = item
            while (path := path.rpartition("/")[0]) not in found.folders and len(path) > len(folder):
                found.folders.add(path)
        if not answer.get("IsTruncated"):
            return found
        further = {"ContinuationToken": answer["NextContinuationToken"]}
    return None
