"""Folders of made-up photographs, in classes that a network can tell apart."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

SHADES = {"cat": 60, "dog": 120, "Füße": 200}
EACH = 24  # photographs of a class


def photograph(shade: int, seed: int, kind: str = "JPEG") -> bytes:
    """The bytes of one photograph."""
    noise = np.random.default_rng(seed).normal(shade, 20, (24, 32, 3)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def photographs() -> dict[str, bytes]:
    """The photographs of a folder by path."""
    return {
        f"{name}/IMG {number:03d}.JPG": photograph(shade, number)
        for name, shade in SHADES.items()
        for number in range(EACH)
    }


def put(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files below a folder, and returns it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
