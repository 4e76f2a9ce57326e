"""Settings of where stages run: the name of a backend for each stage, the settings of each backend, and of Spark."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from .section import Positive, Section

TARGET = "_target_"
PROCESSES, SPARK = "processes", "spark"


class Spark(Section):
    master: str | None
    python: str | None
    shared: str | None
    partitions: Positive | None
    conf: dict[Annotated[str, Field(pattern=r"^spark\.")], str]

    @field_validator("shared")
    @classmethod
    def _can_be_kept_in_git(cls, shared: str | None) -> str | None:
        if shared is not None and not re.fullmatch(r"[a-z0-9]+://[^@?#]+|/[^?#]*", shared):
            raise ValueError("must be an absolute path, or an address without user, password and key")
        return shared


class Compute(Section):
    """`train: sagemaker` says where a stage runs; a group with `_target_` is a backend, checked by the class it names.

    A stage that is not named runs here. `engine` says what divides the work of a stage that makes a dataset version.
    """

    model_config = ConfigDict(extra="allow")
    engine: dict[str, Literal["processes", "spark"]]
    spark: Spark
    __pydantic_extra__: dict[str, str | dict[str, Any]]

    @property
    def stages(self) -> dict[str, str]:
        """The name of the backend by stage."""
        return {key: value for key, value in self.__pydantic_extra__.items() if isinstance(value, str)}

    @property
    def backends(self) -> dict[str, dict[str, Any]]:
        """What conf/ says of each backend but `local`, by name, with the class in `_target_`."""
        return {key: value for key, value in self.__pydantic_extra__.items() if isinstance(value, dict)}
