"""Requests that an endpoint of SageMaker has kept (data capture): the images that a model is asked about.

Files of JSON lines, as SageMaker writes them:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html

Of a request of one raw image, that is the image. Of JSON, images are base64 text in the forms that MLflow's clients
write (docs/serving.md). What is in a request of another form only the model's own code knows: it is counted, and said.
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
JSON = "application/json"
COLUMN = "image"  # the name of an image in JSON
ID = "inferenceId"  # among eventMetadata
OF_DEPLOY = "lineage-deploy-example"  # the InferenceId of the request by which `lineage deploy` asks who answers
AT_ONCE = 64  # requests that one process measures at a time


@dataclass(frozen=True)
class Kept:
    """One request whose images are known: the file it lies in, and in which line."""

    file: Path
    name: str  # FILE:LINE
    start: int  # of the line, in bytes
    size: int
    images: int | None  # of JSON; None for one raw image

    @property
    def names(self) -> list[str]:
        """The name of each of its images."""
        return [self.name] if self.images is None else [f"{self.name}#{number + 1}" for number in range(self.images)]


def find_requests(folder: Path, said: list[str]) -> list[Kept]:
    """The requests in the files of a folder whose images are known; none if there is no such file.

    `said` gets what is left out. Raises DataError if a line is none that data capture writes, or no request has an
    image that is known.
    """
    files = sorted(path for path in folder.rglob(f"*{ENDING}") if path.is_file())
    found, others, examples = [], Counter[str](), 0
    for file in files:
        start = 0
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                name = f"{file.relative_to(folder).as_posix()}:{number}"
                if not line.strip():
                    pass
                elif (kept := _input_of(line, name)).get(ID) == OF_DEPLOY:
                    examples += 1
                else:
                    kind = str(kept.get("observedContentType") or "").partition(";")[0].strip().lower()
                    texts = _texts_in(_bytes_of(kept)) if kind == JSON else None
                    if kind.startswith(RAW) or texts:
                        found.append(Kept(file, name, start, len(line), None if texts is None else len(texts)))
                    else:
                        others[kind or "no media type"] += 1
                start += len(line)
    if files and not found:
        raise DataError(
            f"no image is in the requests kept in {folder}, of raw images or of JSON as docs/serving.md has it "
            f"({sum(others.values()) + examples} others)."
        )
    said += [f"requests of `lineage deploy` itself, with the example of the model, left out: {examples}"] * bool(
        examples
    )
    said += [
        f"requests of {kind} in another form than docs/serving.md has, left out: {many}"
        for kind, many in others.items()
    ]
    return found


def images_of(requests: Sequence[Kept]) -> Iterator[Sequence[tuple[str, Any]]]:
    """The images by their name, those of some requests at a time."""
    for first in range(0, len(requests), AT_ONCE):
        some = requests[first : first + AT_ONCE]
        yield [pair for request in some for pair in zip(request.names, _images_in(request), strict=True)]


def _images_in(request: Kept) -> list[bytes]:
    with request.file.open("rb") as file:
        file.seek(request.start)
        data = _bytes_of(_input_of(file.read(request.size), request.name))
    return [data] if request.images is None else [_from_base64(text) for text in _texts_in(data) or []]


def _bytes_of(kept: dict[str, Any]) -> bytes:
    """The body of a request."""
    text = str(kept.get("data") or "")
    return _from_base64(text) if kept.get("encoding") == "BASE64" else text.encode()


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return b""  # no image: it is counted among those that cannot be read


def _texts_in(body: bytes) -> list[str] | None:
    """The images of a request, as base64 text; None if it has another form."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"instances": [*rows]} if len(document) == 1:
            found = [row.get(COLUMN) if isinstance(row, dict) else row for row in rows]
        case {"dataframe_records": [*rows]} if len(document) == 1:
            found = [row.get(COLUMN) if isinstance(row, dict) else None for row in rows]
        case {"dataframe_split": {"columns": [*columns], "data": [*rows]}} if len(document) == 1 and COLUMN in columns:
            place = columns.index(COLUMN)
            found = [row[place] if isinstance(row, list) and len(row) > place else None for row in rows]
        case _:
            return None
    texts = [text for text in found if isinstance(text, str)]
    return texts if len(texts) == len(found) else None


def _input_of(line: bytes, name: str) -> dict[str, Any]:
    """The request in a line, with the id that the caller gave it, if one did."""
    try:
        document = json.loads(line)
        found: object = document["captureData"]["endpointInput"]
        identity = (document.get("eventMetadata") or {}).get(ID)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found, identity = None, None
    if not isinstance(found, dict):
        raise DataError(f"{name} is no line of SageMaker's data capture: it has no captureData.endpointInput.")
    return {**found, ID: identity}
