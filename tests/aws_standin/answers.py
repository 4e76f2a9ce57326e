"""Answers as AWS's services give them: JSON, XML, refusals."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

Start = Callable[..., Any]


def plain(start: Start, status: str, data: bytes, kind: str) -> Iterable[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]


def as_json(start: Start, document: dict[str, Any], status: str = "200 OK") -> Iterable[bytes]:
    return plain(start, status, json.dumps(document).encode(), "application/x-amz-json-1.1")


def without_empty(value: Any) -> Any:
    """The SDK refuses `{}` where the service leaves a field out."""
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item != {}}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


def missing(what: str) -> dict[str, str]:
    return {"__type": "ValidationException", "message": f"no {what} here"}


def no_job(name: str, start: Start) -> Iterable[bytes]:
    return as_json(start, {"__type": "ResourceNotFound", "message": f"no job {name}"}, "400 Bad Request")


def refuse(text: str, target: str, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """A refusal as the services give it: S3 in XML and without words to HEAD, others in JSON."""
    if target:
        return as_json(start, {"__type": "AccessDeniedException", "message": text}, "400 Bad Request")
    xml = f"<Error><Code>AccessDenied</Code><Message>{escape(text)}</Message></Error>"
    if "Action=" in (body_of(environ) if is_small(environ) else b"").decode(errors="replace"):
        xml = f"<ErrorResponse>{xml}</ErrorResponse>"
    data = b"" if environ["REQUEST_METHOD"] == "HEAD" else xml.encode()
    return plain(start, "403 Forbidden", data, "text/xml")


def message_of(data: bytes) -> str:
    """What an answer in XML says."""
    text = data.decode(errors="replace")
    found = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    return found[1] if found else text[:300]


def is_small(environ: dict[str, Any]) -> bool:
    """Whether the body of a request says what is asked for: that of an object does not."""
    return bool(environ["REQUEST_METHOD"] == "POST")


def body_of(environ: dict[str, Any]) -> bytes:
    """The body of a request, which can be read again then."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
