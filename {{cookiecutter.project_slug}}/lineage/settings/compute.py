"""Settings of where stages run: the name of a backend for each stage, and the settings of each backend."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from .section import Section

TARGET = "_target_"


class Compute(Section):
    """`train: sagemaker` says where a stage runs; a group with `_target_` is a backend, checked by the class it names.

    A stage that is not named runs here.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | dict[str, Any]]

    @property
    def stages(self) -> dict[str, str]:
        """The name of the backend by stage."""
        return {key: value for key, value in self.__pydantic_extra__.items() if isinstance(value, str)}

    @property
    def backends(self) -> dict[str, dict[str, Any]]:
        """What conf/ says of each backend but `local`, by name, with the class in `_target_`."""
        return {key: value for key, value in self.__pydantic_extra__.items() if isinstance(value, dict)}
