"""Typed settings of privacy: whose records may be used."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .optional import ABSENT, OptionalInput
from .section import Section


class Registry(Section):
    path: str | None
    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None
    query: str | None

    @model_validator(mode="after")
    def _names_one_place(self) -> Registry:
        if (self.path is None) == (self.variable is None):
            raise ValueError("either path or variable must be set, and the other be null")
        if "://" in (self.path or "") and not re.fullmatch(r"s3://[^/@?#]+(/[^?#]*)?", self.path or ""):
            raise ValueError(
                "path is a file or an s3:// address without user, key or token; any other address belongs into the "
                "variable"
            )
        if self.query is not None and self.variable is None:
            raise ValueError("query needs variable, the name of the variable that holds the database's address")
        return self


class Privacy(Section):
    name: Literal["none", "registry"]
    snapshot: OptionalInput
    salt: str
    registry: Registry | None

    @model_validator(mode="after")
    def _is_whole(self) -> Privacy:
        # half of it switched off would let everyone pass
        if (self.name == "registry") != bool(self.registry):
            raise ValueError("name and registry belong together: take privacy=none or privacy=registry whole")
        self.snapshot.require("snapshot", (True, None) if self.registry else (False, ABSENT))
        return self
