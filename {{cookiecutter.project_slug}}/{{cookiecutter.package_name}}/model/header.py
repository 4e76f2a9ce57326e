"""What a saved model says of itself. Read without torch, whose import takes longer than registering a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

HEADER = "model"


def read_header(path: Path) -> dict[str, Any]:
    """The header of a saved network: architecture, classes, and how images are brought to it."""
    with safe_open(path, framework="numpy") as file:
        header: dict[str, Any] = json.loads(file.metadata()[HEADER])
    return header
