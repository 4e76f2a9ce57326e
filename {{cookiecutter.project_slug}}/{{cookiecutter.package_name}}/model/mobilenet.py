"""MobileNetV3-Small: A. Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244 ."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import DataError

# what torchvision's ImageNet weights were trained with, for values 0 to 1
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LAST_LAYER = "classifier.3."  # has one row a class


class MobileNetV3Small(nn.Module):
    """torchvision's network for any number of classes, and images of 32 pixels and more in grey or colour.

    Input: images of shape (batch, channels, size, size), values -1 to 1. Output: logits of shape (batch, classes).
    With `pretrained`, images are normalised as the weights for ImageNet expect; `start_from` takes these. Building
    the network never needs them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, classes: int, dropout: float, pretrained: bool) -> None:
        from torchvision.models import mobilenet_v3_small  # ten seconds: only where this network is used

        super().__init__()
        self.network = mobilenet_v3_small(num_classes=classes, dropout=dropout)
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if pretrained else ((0.5,) * 3, (0.5,) * 3)
        # not among the weights: they follow from `pretrained`
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        if not pretrained:
            _learn_statistics_quickly(self.network)

    def forward(self, images: Tensor) -> Tensor:
        colour = images.expand(-1, 3, -1, -1)  # grey is the same in all three
        logits: Tensor = self.network(((colour + 1) / 2 - self.mean) / self.std)
        return logits

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Takes all weights but those of the last layer, whose classes are others.

        Raises DataError if they are not those of this network.
        """
        own = self.network.state_dict()
        taken = {name: tensor for name, tensor in weights.items() if not name.startswith(LAST_LAYER)}
        wanted = {name for name in own if not name.startswith(LAST_LAYER)}
        wrong = wanted ^ taken.keys() or {name for name in wanted if taken[name].shape != own[name].shape}
        if wrong:
            raise DataError(
                f"the weights to start from are not those of mobilenet_v3_small: {min(wrong)} is missing, is too many, "
                "or has another shape."
            )
        self.network.load_state_dict({**own, **taken})


def _learn_statistics_quickly(network: nn.Module) -> None:
    """Sets the momentum of batch norm to torch's default.

    torchvision's 0.01 suits long training or weights that have seen much. A short training from random weights ends
    with running statistics that are still nearly those of the beginning, and predicts no better than chance.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
