"""An input that a stage has with some settings only, and the stage that makes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Section

ABSENT = ".checks/absent"  # what a stage depends on where there is no such input: a file that never changes
# the same where a stage has a second such input: dvc takes one dependency once
NO_REFERENCE = ".checks/params"


class OptionalInput(Section):
    """In dvc.yaml, `foreach: ${... .enabled}` makes its stage exist or not, and `${... .path}` is what others read.

    It follows from other settings: in conf/ it is `${absent:}`, `${made:NAME,PATH}`, `${kept:PATH}` or
    `${reference:PATH}`.
    """

    enabled: Annotated[list[str], Field(max_length=1)]  # names the one instance of the stage
    path: str

    def require(self, name: str, *allowed: tuple[bool, str | None]) -> None:
        """Raises ValueError unless it is as one of `allowed`: whether its stage exists, and the path (None: any)."""
        if not any(bool(self.enabled) == exists and path in (None, self.path) for exists, path in allowed):
            raise ValueError(f"{name} follows from other settings, and is not set by itself")
