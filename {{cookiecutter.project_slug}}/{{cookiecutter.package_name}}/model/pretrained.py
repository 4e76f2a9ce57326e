"""Starting from the weights of others."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import torch
from torch import nn

from ..errors import DataError


def start_from(network: nn.Module, path: Path) -> str:
    """Puts the weights of a .pth file into `network`, which must have `start_from`. Returns the file's SHA-256.

    It is that of the very bytes that were loaded. Raises DataError if they are not weights of this network.
    """
    data = path.read_bytes()
    try:
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)  # runs no code of the file's
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"{path.name} holds no weights that torch can load: {first}") from None
    if not isinstance(weights, dict):
        raise DataError(f"{path.name} holds no weights by name but a {type(weights).__name__}.")
    network.start_from(weights)  # type: ignore[operator]
    return hashlib.sha256(data).hexdigest()
