"""A split of a dataset version as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lineage.records.dataset import read_split
from lineage.records.images import decode
from lineage.records.layout import Description

from .inference import Examples


def load_examples(dataset: Path, description: Description, split: str, device: torch.device) -> Examples:
    """All records of `split`, decoded once and kept on `device`. The order is that of the manifest."""
    count, size, channels = description.records[split], description.image_size, description.channels
    pixels, labels = np.empty((count, channels, size, size), dtype=np.uint8), np.empty(count, dtype=np.int64)
    classes = {name: number for number, name in enumerate(description.classes)}
    for number, (image, label) in zip(range(count), read_split(dataset, split), strict=True):
        pixels[number], labels[number] = decode(image, size, channels), classes[label]
    return Examples(images=torch.from_numpy(pixels).to(device), labels=torch.from_numpy(labels).to(device))
