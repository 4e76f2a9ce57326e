"""A split of a dataset version as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lineage.records.dataset import Description, read_split
from lineage.records.images import decode

from .inference import Examples


def load_examples(dataset: Path, description: Description, split: str, device: torch.device) -> Examples:
    """All records of `split`, decoded once and kept on `device`. The order is that of the manifest."""
    images, labels = read_split(dataset, split)
    shape = (len(images), description.channels, description.image_size, description.image_size)
    pixels = np.empty(shape, dtype=np.uint8)
    for number, image in enumerate(images):
        pixels[number] = decode(image, description.image_size, description.channels)
    classes = {name: number for number, name in enumerate(description.classes)}
    return Examples(
        images=torch.from_numpy(pixels).to(device),
        labels=torch.tensor([classes[label] for label in labels], dtype=torch.int64, device=device),
    )
