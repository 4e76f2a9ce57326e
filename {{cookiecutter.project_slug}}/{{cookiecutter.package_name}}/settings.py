"""Typed settings of sources, of networks and what they start from, of training and testing: all of params.yaml.

Values live in conf/ only: nothing here has a default.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lineage.settings import Settings as FrameworkSettings
from lineage.settings.data import Data as FrameworkData
from lineage.settings.data import Source
from lineage.settings.optional import ABSENT, OptionalInput
from lineage.settings.section import Positive, Section

LISTING = "data/listing.json"  # what the stage listing makes, as dvc.yaml says
PRETRAINED = "models/pretrained.pth"  # what the stage weights makes
Device = Literal["auto", "cpu", "cuda", "mps"]
Threads = Positive | Literal["auto"]


class DigitsSource(Source):
    name: Literal["digits"]
    subjects: Positive


class Cifar10Source(Source):
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


class ImageFolderSource(Source):
    name: Literal["image_folder"]
    path: Annotated[str, Field(min_length=1)]
    table: str | None
    subject: str | None
    splits: Literal["refuse", "keep", "pool", "ignore"]

    @property
    def private_path(self) -> str | None:
        return None if "://" in self.path else self.path

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


class Data(FrameworkData):
    """A source of your own is one more class here."""

    source: Annotated[DigitsSource | Cifar10Source | ImageFolderSource, Field(discriminator="name")]

    @model_validator(mode="after")
    def _changes_are_seen(self) -> Data:
        # else files could change, and neither dvc nor anybody else would notice
        unlisted = self.source.path if isinstance(self.source, ImageFolderSource) else ABSENT
        self.listing.require("listing", (True, LISTING), (False, unlisted))
        if getattr(self.source, "splits", None) == "keep" and self.duplicates == "together":
            raise ValueError("duplicates: together moves records to other splits, which source.splits=keep forbids")
        return self


class SmallCnn(Section):
    name: Literal["small_cnn"]
    width: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]


class MobileNetV3Small(Section):
    name: Literal["mobilenet_v3_small"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    pretrained: bool


Network = Annotated[SmallCnn | MobileNetV3Small, Field(discriminator="name")]


class Weights(Section):
    file: OptionalInput
    url: str | None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None

    @field_validator("url")
    @classmethod
    def _is_a_public_place(cls, url: str | None) -> str | None:
        if url and "://" in url and (not url.startswith(("http://", "https://")) or "@" in url or "?" in url):
            raise ValueError(
                "is a path or an http(s):// address without user, password and query: params.yaml is kept in Git"
            )
        return url


class Train(Section):
    epochs: Positive
    batch_size: Annotated[int, Field(ge=2, strict=True)]  # batch norm cannot learn from one image
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    max_shift: Annotated[float, Field(ge=0, lt=0.5)]
    flip: bool
    min_crop: Annotated[float, Field(gt=0, le=1)]
    max_colour: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)]
    deterministic: bool
    processes: Positive
    threads: Threads
    device: Device
    precision: Literal["float32", "bfloat16"]
    channels_last: bool
    memory_mb: Positive
    resume: bool

    @model_validator(mode="after")
    def _batches_can_be_shared(self) -> Train:
        if self.batch_size < 2 * self.processes:
            raise ValueError(
                f"batch_size must be at least 2 for each of {self.processes} processes: they share every batch, and "
                "batch norm cannot learn from one image"
            )
        return self


class Evaluate(Section):
    further_splits: list[Literal["train", "val"]]
    slices: list[str]
    min_subjects: Annotated[int, Field(ge=2, strict=True)]
    batch_size: Positive
    threads: Threads
    device: Device
    memory_mb: Positive


class Settings(FrameworkSettings):
    """All of params.yaml."""

    data: Data
    weights: Weights
    model: Network
    train: Train
    evaluate: Evaluate

    @model_validator(mode="after")
    def _model_fits(self) -> Settings:
        if isinstance(self.model, MobileNetV3Small) and self.data.image.size < 32:
            raise ValueError(
                f"data.image.size: {self.model.name} halves images five times and needs 32 or more (is "
                f"{self.data.image.size})"
            )
        if unknown := [name for name in self.evaluate.slices if name not in self.data.columns]:
            raise ValueError(
                f"evaluate.slices: {unknown[0]} is not among data.columns, which bring it into the records"
            )
        if len({*self.evaluate.slices}) < len(self.evaluate.slices):
            raise ValueError("evaluate.slices: a column is named twice")
        pretrained = getattr(self.model, "pretrained", False)
        self.weights.file.require("weights.file", (True, PRETRAINED) if pretrained else (False, ABSENT))
        if pretrained and not (self.weights.url and self.weights.sha256):
            raise ValueError("weights: url and sha256 must be set where model.pretrained is true")
        return self
