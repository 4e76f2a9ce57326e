"""`lineage invoke`: files to an endpoint, answers back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import ServingError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..judgement.captured import OF_DEPLOY
from .program.loaded import EXAMPLE

KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".json": "application/json",
}
OTHERS = "application/octet-stream"


@dataclass(frozen=True)
class Answered:
    """What an endpoint said of one file: an answer, or what is wrong."""

    file: str
    which: str  # the model, as the answer itself names it
    answer: Any = None
    fault: str = ""


def invoke(aws: Aws, endpoint: str, files: Sequence[Path]) -> Iterator[Answered]:
    """Sends each file as one request. Raises ServingError if the endpoint cannot be asked."""
    for file in files:
        try:
            body = file.read_bytes()
        except OSError as error:
            raise ServingError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}.") from None
        yield _ask(aws, endpoint, str(file), body, KINDS.get(file.suffix.lower(), OTHERS))


def who_answers(aws: Aws, endpoint: str, registered: Path) -> Answered:
    """What an endpoint answers to the example among the registered files of a version. Raises as `invoke` does."""
    try:
        body = (registered / EXAMPLE).read_bytes()
    except OSError as error:
        raise ServingError(f"{EXAMPLE} is not among the registered files: {error.strerror}.") from None
    # by this id `lineage drift` knows that the request is nobody's, where the endpoint keeps it
    return _ask(aws, endpoint, EXAMPLE, body, KINDS[".json"], InferenceId=OF_DEPLOY)


def _ask(aws: Aws, endpoint: str, file: str, body: bytes, kind: str, **more: str) -> Answered:
    from botocore.exceptions import ClientError

    client = aws.client("sagemaker-runtime")
    with translate_errors(ServingError, f"could not ask the endpoint {endpoint}"):
        try:
            said = client.invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType=kind, Accept="application/json", **more
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ModelError":
                raise
            status, text = error.response.get("OriginalStatusCode"), str(error.response.get("OriginalMessage") or "")
            return Answered(file, "", fault=f"{status} {_sentence(text)}")
        data = said["Body"].read()
    try:
        return Answered(file, str(said.get("CustomAttributes") or ""), json.loads(data))
    except ValueError:
        return Answered(file, "", fault="the answer is no JSON")


def _sentence(text: str) -> str:
    """What the program says is wrong; whatever else answered, as it is."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text
