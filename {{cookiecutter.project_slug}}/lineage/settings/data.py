"""Typed settings of the data: how records become a dataset version. Where they come from, the project adds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from .optional import ABSENT, NO_REFERENCE, OptionalInput
from .section import Fraction, Positive, Section

# What further columns may not be called, in upper or lower case: columns that records, manifests, shards, predictions
# and tables of query engines have, or that rows have while they are prepared.
RESERVED = {
    *("record_id", "subject_id", "label", "split", "content_sha256", "image", "path", "probabilities", "dataset"),
    *("position", "order", "shard", "place", "file", "number", "name"),
}
Column = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]


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


class Judged(Section):
    """What new data are held against before anybody trains on them."""

    against: str | None  # a profile.json in the project
    on_drift: Literal["warn", "stop"]
    input: OptionalInput

    @model_validator(mode="after")
    def _is_what_preprocess_reads(self) -> Judged:
        if self.input.enabled or self.input.path != (self.against or NO_REFERENCE):
            raise ValueError("input follows from against, and is not set by itself")
        return self


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
    columns: list[Column]
    missing_value: Annotated[str, Field(min_length=1)] | None
    drift: Judged

    @field_validator("columns")
    @classmethod
    def _are_columns_of_their_own(cls, columns: list[str]) -> list[str]:
        plain = [name.casefold() for name in columns]  # query engines do not tell A from a
        if taken := [name for name in columns if name.casefold() in RESERVED]:
            raise ValueError(f"{taken[0]} is a column that every record has, or a name that is used on the way")
        if len({*plain}) < len(plain):
            raise ValueError("two of them have one name, or differ in upper and lower case alone")
        return columns

    @property
    def is_versioned(self) -> bool:
        """Whether DVC versions the files themselves that the source consists of."""
        return not self.listing.enabled and self.listing.path != ABSENT
