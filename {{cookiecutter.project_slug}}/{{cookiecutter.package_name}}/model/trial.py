"""A network is tried out before it is trained: what does not fit together is reported in seconds, not after hours."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb
from typing import Any

import torch
from torch import Tensor, nn

from lineage.base.errors import NetworkError

from .networks import NETWORKS, build, normalise

PACKAGE = Path(__file__).resolve().parents[1]
IMAGES = 2


def build_and_try(architecture: dict[str, Any], channels: int, size: int, classes: int) -> nn.Module:
    """A network with random weights, of which it is known that it makes of an image one number for each class.

    More numbers than classes would be trained without an error, and registered as a model that nobody can ask. Raises
    NetworkError if it cannot be made, takes no such image, or makes something else of it.
    """
    name = architecture["name"]
    if name not in NETWORKS:
        raise NetworkError(
            f"model/networks.py has no network {name!r}, only {', '.join(NETWORKS)}. Add it to NETWORKS."
        )
    try:
        network = build(architecture, channels, classes)
    except Exception as error:  # people's own code raises anything
        raise NetworkError(f"the network {name!r} cannot be made with these settings: {_told(error)}") from error
    images = torch.zeros((IMAGES, channels, size, size), dtype=torch.uint8)
    try:
        with torch.no_grad():
            logits = network.eval()(normalise(images))  # so that statistics and random numbers stay as they are
    except Exception as error:
        shape = f"{channels} x {size} x {size}"
        raise NetworkError(f"the network {name!r} cannot take images of {shape}: {_told(error)}") from error
    made = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if made != (IMAGES, classes):
        raise NetworkError(
            f"the network {name!r} makes {made} of {IMAGES} images, and must make {(IMAGES, classes)}: one number for "
            "each class, whose number it is made with as `classes`."
        )
    return network


def _told(error: Exception) -> str:
    """What an exception says, and the last line of this project that it came through."""
    lines = [line for line in extract_tb(error.__traceback__) if PACKAGE in Path(line.filename).parents]
    place = f"{Path(lines[-1].filename).relative_to(PACKAGE)}, line {lines[-1].lineno}"
    said = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {said} ({place})."
