"""The registered model: raw PNG or JPEG bytes in, class probabilities out. MLflow loads it through `_load_pyfunc`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lineage.records.images import decode, encode

from .model.header import read_header

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "model.safetensors"
COLUMN = "image"
BATCH = 256
ALWAYS_NEEDED = ("mlflow", "numpy", "pandas", "pillow", "safetensors", "torch")
PACKAGES = {"mobilenet_v3_small": ("torchvision",)}  # what a network needs beside torch


class Predictor:
    """Predicts from a table with the column `image`: the bytes of a PNG or JPEG file in each row."""

    def __init__(self, network: nn.Module, header: dict[str, Any]) -> None:
        self._network = network
        self._header = header

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row an image, one column a class; each row adds up to 1."""
        import torch

        from .model.inference import predict

        size, channels = self._header["image_size"], self._header["channels"]
        background, further_pages = self._header["background"], self._header["further_pages"]
        pixels = np.empty((len(model_input), channels, size, size), dtype=np.uint8)
        for number, image in enumerate(model_input[COLUMN]):
            pixels[number] = decode(_as_bytes(image), size, channels, background, further_pages)
        probabilities = predict(self._network, torch.from_numpy(pixels), BATCH).double().numpy()
        return pd.DataFrame(probabilities, columns=self._header["classes"], index=model_input.index)


def example_input(weights: Path) -> pd.DataFrame:
    """Two synthetic images, a gradient and its mirror image: an example must never be somebody's record."""
    header = read_header(weights)
    size, channels = header["image_size"], header["channels"]
    gradient = np.broadcast_to(np.linspace(0, 255, size, dtype=np.uint8), (channels, size, size))
    return pd.DataFrame({COLUMN: [encode(gradient), encode(gradient[:, :, ::-1])]})


def signature(weights: Path) -> dict[str, list[dict[str, Any]]]:
    """Binary column in, one double column a class out, as MLflow writes them in MLmodel."""
    return {
        "inputs": [{"name": COLUMN, "type": "binary", "required": True}],
        "outputs": [{"name": name, "type": "double", "required": True} for name in read_header(weights)["classes"]],
    }


def packages(weights: Path) -> tuple[str, ...]:
    """What must be installed, beside Python itself, where the model is loaded."""
    return (*ALWAYS_NEEDED, *PACKAGES.get(read_header(weights)["architecture"]["name"], ()))


def _load_pyfunc(path: str) -> Predictor:
    """MLflow calls this with the folder that holds the weights."""
    from .model import checkpoint

    return Predictor(*checkpoint.load(Path(path) / WEIGHTS))


def _as_bytes(image: bytes | str) -> bytes:
    # JSON has no bytes: a server hands on base64 text where the caller sent it
    return base64.b64decode(image) if isinstance(image, str) else bytes(image)
