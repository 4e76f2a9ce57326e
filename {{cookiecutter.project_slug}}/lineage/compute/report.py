"""What a job reports: its entry of dvc.lock, and the numbers of its work for those who were not there.

Whoever can write to the bucket may have written it, so it is checked.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import DispatchError
from ..dvc.hashes import NAME

if TYPE_CHECKING:
    from ..run.callbacks import Numbers

NUMBERS = Path(".dvc", "tmp", "reported.json")  # in a job: written by the stage, for `run_stage`
MOST_BYTES = 4 * 2**20
MOST_NUMBERS = 2**20  # bytes of MOST_BYTES that they may take
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


def keep_numbers(root: Path, reported: Numbers) -> None:
    """Writes down, in a job, what its stage has reported. Of too many the first ones are left out."""
    kept = [[_floats(values), None if step is None else int(step)] for values, step in reported]
    while len(text := json.dumps(kept)) > MOST_NUMBERS:
        kept = kept[len(kept) // 2 + 1 :]
    path = root / NUMBERS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _floats(values: dict[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in values.items():
        with suppress(TypeError, ValueError):  # it is no number: a training must not fail at its end for that
            found[name] = float(value)
    return found


def kept_numbers(root: Path) -> Any:
    """What `keep_numbers` wrote in this job; nothing if its stage has not reported anything."""
    path = root / NUMBERS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def read_numbers(data: bytes, job: str) -> Numbers:
    """The numbers in what `read_report` took for a report. Raises DispatchError unless they are some."""
    reported = json.loads(data).get("reported", [])
    if not isinstance(reported, list) or not all(map(_are_numbers, reported)):
        raise DispatchError(f"the numbers in the report of job {job} are not as a stage reports them.")
    return [(values, step) for values, step in reported]


def _are_numbers(item: object) -> bool:
    if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], dict)):
        return False
    return type(item[1]) in (int, type(None)) and all(type(value) is float for value in item[0].values())


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
