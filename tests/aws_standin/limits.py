"""Whether a request is within what the service says of it: lengths, patterns, values, as botocore's models have them.

boto3 itself looks at names, types and least lengths alone; the rest only the service refuses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import regex
from botocore.model import Shape
from botocore.validate import ParamValidator

from .expressions import RefusedError


@cache
def _service() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


def check(operation: str, request: dict[str, Any]) -> None:
    """Raises RefusedError, as the service words it, if a request is not as the operation takes it."""
    shape = _service().operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    faults = [report.generate_report()] if report.has_errors() else list(_faults(request, shape, ""))
    if faults:
        count = f"{len(faults)} validation error{'s' * (len(faults) > 1)} detected: "
        raise RefusedError(count + "; ".join(faults))


def _faults(value: Any, shape: Shape, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        for name, inner in value.items():
            yield from _faults(inner, shape.members[name], f"{path}.{name}".lstrip("."))
        return
    if kind == "list":
        for item in value:
            yield from _faults(item, shape.member, f"{path}.member")
    if kind == "map":
        for key, item in value.items():
            yield from _faults(key, shape.key, f"{path}.key")
            yield from _faults(item, shape.value, f"{path}.{key}")
    size = value if kind in ("integer", "long") else len(value) if hasattr(value, "__len__") else 0
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", math.inf)
    if not least <= size <= most:
        yield f"Value at '{path}' failed to satisfy constraint: {size} is not between {least} and {most}"
    pattern = str(shape.metadata.get("pattern", "")).replace("${1,128}", "").replace("${1,256}", "")
    if kind == "string" and pattern and not regex.fullmatch(pattern, value):
        yield f"Value '{value[:60]}' at '{path}' failed to satisfy constraint: regular expression {pattern}"
    allowed = shape.metadata.get("enum")
    if kind == "string" and allowed and value not in allowed:
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: one of {allowed}"
