"""Requests that an endpoint of SageMaker has kept (data capture): the images that a model is asked about.

Files of JSON lines, as SageMaker writes them:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html

Of a request of one raw image, that is the image. What several images in one request look like only the model's own code
knows: these are counted, and said.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import DataError

ENDING = ".jsonl"
RAW = ("image/", "application/x-image", "application/octet-stream")
AT_ONCE = 64  # requests that one process measures at a time


@dataclass(frozen=True)
class Kept:
    """One request of one image: the file it lies in, and in which line."""

    file: Path
    name: str  # FILE:LINE
    start: int  # of the line, in bytes
    size: int


def find_requests(folder: Path, said: list[str]) -> list[Kept]:
    """The requests of one image in the files of a folder; none if there is no such file.

    `said` gets what is left out. Raises DataError if a line is none that data capture writes, or no request is of one
    image.
    """
    files = sorted(path for path in folder.rglob(f"*{ENDING}") if path.is_file())
    found, others = [], Counter[str]()
    for file in files:
        start = 0
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                name = f"{file.relative_to(folder).as_posix()}:{number}"
                if line.strip():
                    kind = str(_input_of(line, name).get("observedContentType") or "").partition(";")[0].lower()
                    if kind.startswith(RAW):
                        found.append(Kept(file, name, start, len(line)))
                    else:
                        others[kind or "no media type"] += 1
                start += len(line)
    if files and not found:
        raise DataError(f"no request of one image is among those kept in {folder} ({sum(others.values())} others).")
    said += [f"requests of {kind}, whose images only the model's code knows: {many}" for kind, many in others.items()]
    return found


def images_of(requests: Sequence[Kept]) -> Iterator[Sequence[tuple[str, Any]]]:
    """The images by the name of their request, some at a time."""
    for first in range(0, len(requests), AT_ONCE):
        yield [(request.name, _image_of(request)) for request in requests[first : first + AT_ONCE]]


def _image_of(request: Kept) -> bytes:
    with request.file.open("rb") as file:
        file.seek(request.start)
        kept = _input_of(file.read(request.size), request.name)
    text = str(kept.get("data") or "")
    if kept.get("encoding") != "BASE64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""  # no image: it is counted among those that cannot be read


def _input_of(line: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(line)["captureData"]["endpointInput"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{name} is no line of SageMaker's data capture: it has no captureData.endpointInput.")
    return found
