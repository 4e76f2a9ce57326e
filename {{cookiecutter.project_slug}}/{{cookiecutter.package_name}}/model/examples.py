"""A split of a dataset version as tensors."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lineage.records.dataset import read_split
from lineage.records.images import decode
from lineage.records.layout import Description

from .inference import Examples


def load_examples(
    dataset: Path, description: Description, split: str, device: torch.device, *, memory: int, scratch: Path
) -> Examples:
    """All records of `split`, decoded once, in the order of the manifest.

    They are kept on `device`; images of more than `memory` bytes in a file in the folder `scratch`, of which the system
    holds in memory what there is room for. The file has no name, and is gone with this process however that ends.
    """
    count, size, channels = description.records[split], description.image_size, description.channels
    shape, labels = (count, channels, size, size), np.empty(count, dtype=np.int64)
    is_large = math.prod(shape) > memory
    pixels = _in_a_file(shape, scratch) if is_large else np.empty(shape, dtype=np.uint8)
    classes = {name: number for number, name in enumerate(description.classes)}
    for number, (image, label) in zip(range(count), read_split(dataset, split), strict=True):
        pixels[number], labels[number] = decode(image, size, channels), classes[label]
    images = torch.from_numpy(pixels)
    return Examples(images=images if is_large else images.to(device), labels=torch.from_numpy(labels).to(device))


def _in_a_file(shape: tuple[int, ...], scratch: Path) -> NDArray[np.uint8]:
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as file:
        if hasattr(os, "posix_fallocate"):  # a disk that is full ends a process that writes to a mapped file, unsaid
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
