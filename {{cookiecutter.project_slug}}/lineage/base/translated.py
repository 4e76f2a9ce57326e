"""Errors of other libraries as errors of this project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .denied import reason_of
from .errors import ProjectError


@contextmanager
def translate_errors(
    kind: type[ProjectError],
    what: str,
    reason: Callable[[BaseException], str] = reason_of,
    *,
    passed_on: type[ProjectError] = ProjectError,
    more: str = "",
    is_secret: bool = False,
) -> Iterator[None]:
    """Raises `kind` with "`what`: the reason`more`" in place of any error but those `passed_on`.

    Botocore, drivers of databases, MLflow and DVC raise classes that have nothing in common. With `is_secret` the error
    of the library is not kept as the cause: its text may hold a password.
    """
    try:
        yield
    except passed_on:
        raise
    except Exception as error:
        why = str(error) if isinstance(error, ProjectError) else reason(error)
        raise kind(f"{what}: {why}{more}") from (None if is_secret else error)
