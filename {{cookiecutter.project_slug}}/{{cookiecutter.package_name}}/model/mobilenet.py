"""MobileNetV3-Small: A. Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244 ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

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

    def start_from(self, weights: Mapping[Any, Any]) -> None:
        """Takes all weights but those of the last layer, whose classes are others.

        Raises ValueError if they are not those of this network: they come from a file, and can be anything.
        """
        own = self.network.state_dict()
        taken = {name: value for name, value in weights.items() if not str(name).startswith(LAST_LAYER)}
        wanted = {name for name in own if not name.startswith(LAST_LAYER)}
        if other := taken.keys() - wanted:
            raise ValueError(f"mobilenet_v3_small has nothing that is called {min(map(repr, other))[:100]}")
        if missing := wanted - taken.keys():
            raise ValueError(f"{min(missing)!r} of mobilenet_v3_small is missing")
        if wrong := {name for name in wanted if not _can_become(taken[name], own[name])}:
            raise ValueError(
                f"{min(wrong)!r} is not the dense tensor of shape {_shape(own[min(wrong)])} that it must be"
            )
        self.network.load_state_dict({**own, **taken})


def _can_become(value: object, own: Tensor) -> bool:
    """Whether it is a tensor like `own`. Half precision will do; sparse, nested and quantized ones will not."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"  # `meta` has no values
        and not (value.is_nested or value.is_quantized)
        and value.shape == own.shape
        and value.is_floating_point() == own.is_floating_point()
        and not value.is_complex()
    )


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "()"


def _learn_statistics_quickly(network: nn.Module) -> None:
    """Sets the momentum of batch norm to torch's default.

    torchvision's 0.01 suits long training or weights that have seen much. A short training from random weights ends
    with running statistics that are still nearly those of the beginning, and predicts no better than chance.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
