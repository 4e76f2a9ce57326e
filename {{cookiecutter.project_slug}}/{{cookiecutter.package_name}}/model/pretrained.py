"""Starting from the weights of others."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lineage.base.errors import DataError


def start_from(network: nn.Module, path: Path) -> str:
    """Puts the weights of a .pth file into `network`, which must have `start_from`. Returns the file's SHA-256.

    It is that of exactly the bytes that were loaded. Raises DataError if they are not weights of this network.
    """
    data = path.read_bytes()
    try:
        network.start_from(_weights(data))  # type: ignore[operator]
    except ValueError as error:
        raise DataError(
            f"{path} is no state_dict of this network, saved with torch.save: {error}. Name such a file in weights.url "
            "and its SHA-256 in weights.sha256, or train without these weights: `-S model.pretrained=false`."
        ) from None
    return hashlib.sha256(data).hexdigest()


def _weights(data: bytes) -> dict[Any, Any]:
    try:
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)  # runs no code of the file's
    except Exception:  # a file of any kind raises anything, and torch's words advise to run the file's code
        raise ValueError(_kind(data)) from None
    if not isinstance(weights, dict):
        raise ValueError(f"it holds no weights by name but a {type(weights).__name__}")
    return weights


def _kind(data: bytes) -> str:
    """What is wrong with a file that torch does not load: the kinds that are often taken for weights by name."""
    if data[:100].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "it is a web page"
    if data.startswith(b"version https://git-lfs"):
        return "it is what Git LFS keeps in place of a file"
    if data[8:10] == b'{"':
        return "it is a file of safetensors"
    return "torch cannot load it as plain tensors by name"
