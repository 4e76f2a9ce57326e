"""All of params.yaml: a source and two groups of the project, on top of what the framework has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lineage.settings import Settings as FrameworkSettings
from lineage.settings.data import Data as FrameworkData
from lineage.settings.data import Source
from lineage.settings.optional import ABSENT
from lineage.settings.section import Positive, Section


class Scans(Source):
    name: Literal["digits"]
    subjects: Positive


class Data(FrameworkData):
    source: Scans

    @model_validator(mode="after")
    def _never_changes(self) -> Data:
        self.listing.require("listing", (False, ABSENT))
        return self


class Train(Section):
    epochs: Positive
    lr: Annotated[float, Field(gt=0)]
    seed: Annotated[int, Field(ge=0, strict=True)]


class Evaluate(Section):
    device: Literal["auto", "cpu"]


class Settings(FrameworkSettings):
    data: Data
    train: Train
    evaluate: Evaluate
