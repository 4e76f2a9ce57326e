"""A trained model in one safetensors file: its weights, and in the header what is needed to build and feed it.

No pickle: loading a file runs no code. The header has exactly one key, because with two or more safetensors writes them
in an order that changes from process to process, and with it the hash.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from .header import HEADER, read_header
from .networks import build


def save(path: Path, network: nn.Module, header: dict[str, Any]) -> None:
    """Writes `network` to `path`. `header`: architecture, classes, and how images are brought to it."""
    # copies: safetensors refuses tensors that share their memory, as those of layers do that share their weights
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    path.write_bytes(to_bytes(weights, metadata={HEADER: json.dumps(header, sort_keys=True)}))


def load(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode on the CPU, and the header it was saved with."""
    header = read_header(path)
    weights: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118  not a mapping
            weights[name] = file.get_tensor(name)
    network = build(header["architecture"], header["channels"], len(header["classes"]))
    network.load_state_dict(weights)
    return network.eval(), header
