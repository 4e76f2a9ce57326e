"""Typed settings of networks, of what they start from, and of how they are trained and tested."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from .section import Positive, Section

PRETRAINED = "models/pretrained.pth"  # what train starts from
NO_WEIGHTS = ".checks/params"  # what it depends on otherwise
Device = Literal["auto", "cpu", "cuda", "mps"]


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
    live: Annotated[list[str], Field(max_length=1)]
    start: str
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
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)]
    deterministic: bool
    threads: Positive
    device: Device


class Evaluate(Section):
    batch_size: Positive
    threads: Positive
    device: Device
