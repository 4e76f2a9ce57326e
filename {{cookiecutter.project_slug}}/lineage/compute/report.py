"""What a job reports: its entry of dvc.lock. Whoever can write to the bucket may have written it, so it is checked."""

from __future__ import annotations

import json
from typing import Any

from ..base.errors import DispatchError
from ..dvc.hashes import NAME

MOST_BYTES = 4 * 2**20
MOST_FILES = 100_000  # of a folder that a job brings: more are slow in DVC, and shards are what they are for
MOST_LISTING = 32 * 2**20  # bytes of its listing


def read_report(data: bytes, job: str) -> dict[str, Any]:
    """The entry that a job reports. Raises DispatchError unless it is one."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DispatchError(f"the report of job {job} is not readable: {type(error).__name__}.") from None
    entry = document.get("entry") if isinstance(document, dict) else None
    if not isinstance(entry, dict):
        raise DispatchError(f"the report of job {job} holds no entry of dvc.lock.")
    for kind in ("deps", "outs"):
        items = entry.get(kind)
        if not isinstance(items, list) or not all(_is_item(item) for item in items):
            raise DispatchError(f"the {kind} in the report of job {job} are not as dvc.lock has them.")
    return entry


def _is_item(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        return False
    return isinstance(item.get("md5"), str) and NAME.fullmatch(item["md5"]) is not None


def read_record(data: bytes, job: str) -> dict[str, Any]:
    """The content of models/run.json that a job brought. Raises DispatchError unless it is an object of JSON."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise DispatchError(f"job {job} brought a record of its run that is not readable.")
    return record
