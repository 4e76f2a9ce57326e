"""Typed settings of the data: where records come from, and how they become a dataset version."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ..errors import DataError
from .section import Fraction, Positive, Section

NOT_LISTED = ".checks/source"  # what fetch depends on where DVC sees every change of the source by itself
LISTING = "data/listing.json"  # what the stage `listing` writes


class DigitsSource(Section):
    name: Literal["digits"]
    subjects: Positive


class Cifar10Source(Section):
    name: Literal["cifar10"]
    url: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @field_validator("url")
    @classmethod
    def _can_be_kept_in_git(cls, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        if separator and scheme.lower() not in ("http", "https"):
            raise ValueError("must be an http:// or https:// address, or a file of this machine")
        if separator and ("@" in rest or "?" in rest):
            raise ValueError("must hold no user, password or token: params.yaml is kept in Git")
        return url


class ImageFolderSource(Section):
    name: Literal["image_folder"]
    path: Annotated[str, Field(min_length=1)]
    table: str | None
    subject: str | None
    splits: Literal["refuse", "keep", "pool", "ignore"]

    @field_validator("path")
    @classmethod
    def _is_folder_or_prefix(cls, path: str) -> str:
        if "://" in path and not re.fullmatch(r"s3://[^/@?#]+(/[^?#]*)?", path):
            raise ValueError("must be a folder of this machine or s3://bucket/prefix")
        return path

    @field_validator("table")
    @classmethod
    def _can_be_read(cls, table: str | None) -> str | None:
        if table is not None and not table.lower().endswith((".csv", ".parquet")):
            raise ValueError("must be a .csv or .parquet file; a spreadsheet can be saved as CSV")
        return table

    @field_validator("subject")
    @classmethod
    def _finds_one_thing(cls, subject: str | None) -> str | None:
        try:
            groups = re.compile(subject or "()").groups
        except re.error as error:
            raise ValueError(f"must be a regular expression ({error})") from None
        if groups != 1:
            raise ValueError(f"must have one group in parentheses, the subject's id, not {groups}")
        return subject

    @model_validator(mode="after")
    def _has_one_answer(self) -> ImageFolderSource:
        if self.table is not None and self.subject is not None:
            raise ValueError("subject must be null where table is set: the table names the subjects")
        return self


def folder_at(path: str, root: Path) -> Path:
    """The folder of this machine that data.source.path names, relative to `root`. Raises DataError if it names none.

    It is not resolved: a link says where the files are kept today.
    """
    try:
        return Path(os.path.normpath(root / Path(path).expanduser()))
    except RuntimeError:  # ~somebody
        raise DataError(
            f"data.source.path {path!r} names a home folder that does not exist here. Set the whole path."
        ) from None


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
    source: Annotated[DigitsSource | Cifar10Source | ImageFolderSource, Field(discriminator="name")]
    live: Annotated[list[str], Field(max_length=1)]
    listing: str
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
        return isinstance(self.source, ImageFolderSource) and self.listing == self.source.path

    @model_validator(mode="after")
    def _changes_are_seen(self) -> Data:
        # else files could change, and neither dvc nor anybody else would notice
        unlisted = self.source.path if isinstance(self.source, ImageFolderSource) else NOT_LISTED
        if self.listing != (LISTING if self.live else unlisted):
            raise ValueError(
                "live and listing belong to the source: take data=image_folder or data=dvc_folder whole, "
                "or leave both as conf/data/base.yaml has them"
            )
        if getattr(self.source, "splits", None) == "keep" and self.duplicates == "together":
            raise ValueError("duplicates: together moves records to other splits, which source.splits=keep forbids")
        return self
