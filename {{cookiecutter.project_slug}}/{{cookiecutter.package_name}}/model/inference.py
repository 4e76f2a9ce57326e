"""What a network says about images. The registered model imports this file, so it needs torch and nothing more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks import normalise


@dataclass(frozen=True)
class Examples:
    """Images as uint8 (records, channels, size, size) and class numbers as int64 (records,).

    The labels are on the device that works with them; so are the images, unless there are too many.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of some records by number, on the device of the labels."""
        device = self.labels.device
        return self.images[chosen.to(self.images.device)].to(device), self.labels[chosen.to(device)]


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Class probabilities, shape (records, classes), of uint8 images."""
    network.eval()
    device = next((weights.device for weights in network.parameters()), images.device)
    batches = (batch.to(device) for batch in torch.split(images, batch_size))
    return torch.cat([network(normalise(batch)).softmax(dim=1) for batch in batches])


def score(network: nn.Module, examples: Examples, batch_size: int) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on `examples`."""
    probabilities = predict(network, examples.images, batch_size)
    loss = functional.nll_loss(probabilities.clamp_min(1e-12).log(), examples.labels).item()
    return loss, (probabilities.argmax(dim=1) == examples.labels).float().mean().item()
