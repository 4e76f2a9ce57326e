"""Typed settings of the data: how records become a dataset version. Where they come from, the project adds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .optional import ABSENT, OptionalInput
from .section import Fraction, Positive, Section


class Source(Section):
    """Where records come from. The project has a class for each of its sources."""

    name: str

    @property
    def private_path(self) -> str | None:
        """A path of this machine, relative to the project or not, below which records lie that Git must not take in."""
        return None


class Image(Section):
    size: Annotated[int, Field(ge=1, le=4096)]  # pixels; images are square
    channels: Literal[1, 3]
    background: Literal["white", "grey", "black", "refuse"]
    further_pages: Literal["refuse", "drop"]


class Split(Section):
    train: Fraction
    val: Fraction
    test: Fraction
    salt: str

    @model_validator(mode="after")
    def _shares_add_up(self) -> Split:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, val and test must add up to 1, not {total:g}")
        return self


class Sampling(Section):
    salt: str


class Shards(Section):
    subjects: Positive
    salt: str


class Data(Section):
    """The project's class says which sources there are, and when `listing` is right."""

    source: Source
    listing: OptionalInput
    fraction: Fraction
    sampling: Sampling
    split: Split
    image: Image
    on_bad_record: Literal["error", "skip"]
    alike_classes: Literal["refuse", "keep"]
    duplicates: Literal["warn", "together", "refuse"]
    near_duplicates: Annotated[int, Field(ge=0, le=4, strict=True)] | None
    shards: Shards

    @property
    def is_versioned(self) -> bool:
        """Whether DVC versions the files themselves that the source consists of."""
        return not self.listing.enabled and self.listing.path != ABSENT
