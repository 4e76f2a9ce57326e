"""Networks by name. Add yours here, its settings to ../settings.py and conf/model/.

One that imports another package than torch gets a line in PACKAGES of ../serving.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .mobilenet import MobileNetV3Small


class SmallCnn(nn.Module):
    """Three convolutions and a linear layer: small enough to train on a laptop in seconds.

    Input: images of shape (batch, channels, size, size), values -1 to 1. Output: logits of shape (batch, classes).
    """

    def __init__(self, channels: int, classes: int, width: int, dropout: float) -> None:
        super().__init__()
        # strides and a mean where others pool: on CUDA the gradients of pooling are not deterministic
        self.features = nn.Sequential(
            self._block(channels, width, stride=1),
            self._block(width, 2 * width, stride=2),
            self._block(2 * width, 4 * width, stride=2),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * width, classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).mean(dim=(2, 3)))
        return logits

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> nn.Module:
        # the batch norm that follows has a bias of its own
        convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


NETWORKS: dict[str, type[nn.Module]] = {
    "small_cnn": SmallCnn,
    "mobilenet_v3_small": MobileNetV3Small,
}


def build(architecture: dict[str, Any], channels: int, classes: int) -> nn.Module:
    """A network with random weights. `architecture` is the section `model` of the settings."""
    arguments = {key: value for key, value in architecture.items() if key != "name"}
    return NETWORKS[architecture["name"]](channels=channels, classes=classes, **arguments)


def normalise(pixels: Tensor) -> Tensor:
    """Pixels 0 to 255 of any shape to floats -1 to 1. Part of the model: training and inference both call it."""
    return pixels.to(torch.float32) / 127.5 - 1
