"""The training loop."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from ..settings import Train
from .history import Epoch
from .inference import Examples, score
from .networks import normalise


def fit(
    network: nn.Module, train: Examples, val: Examples, settings: Train, on_epoch: Callable[[Epoch], None]
) -> Epoch:
    """Trains `network` in place, leaves the weights of the best epoch in it, and returns that epoch.

    Best is the highest accuracy on `val`, then the lowest loss on it. `on_epoch` hears of every epoch.
    """
    device = train.labels.device
    shuffle = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same order on every device
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * -(-len(train) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=settings.lr, total_steps=steps)
    best, best_weights = None, None

    for number in track(range(1, settings.epochs + 1), "training", console=Console(stderr=True)):
        network.train()
        total, seen = 0.0, 0
        for batch in torch.split(torch.randperm(len(train), generator=shuffle), settings.batch_size):
            if len(batch) == 1:
                schedule.step()
                continue  # a left-over image: batch norm cannot learn from one
            chosen = batch.to(device)
            images = shift(train.images[chosen], settings.max_shift, shuffle)
            loss = functional.cross_entropy(network(normalise(images)), train.labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total, seen = total + loss.item() * len(batch), seen + len(batch)

        val_loss, val_accuracy = score(network, val, settings.batch_size)
        epoch = Epoch(number, total / max(seen, 1), val_loss, val_accuracy)
        on_epoch(epoch)
        if best is None or (epoch.val_accuracy, -epoch.val_loss) > (best.val_accuracy, -best.val_loss):
            best, best_weights = epoch, copy.deepcopy(network.state_dict())

    assert best is not None and best_weights is not None  # settings.epochs is at least 1
    network.load_state_dict(best_weights)
    return best


def shift(images: Tensor, largest: float, random: torch.Generator) -> Tensor:
    """Moves each image by up to `largest` of its size in either direction; what comes in at the edge is black."""
    pixels = int(largest * images.shape[-1])
    if pixels == 0:
        return images
    padded = functional.pad(images, (pixels,) * 4)
    moves = torch.randint(0, 2 * pixels + 1, (2, len(images), 1), generator=random).to(images.device)
    within = torch.arange(images.shape[-1], device=images.device)
    rows, columns = moves + within  # each (records, size): which pixels of the padded image to take
    which = torch.arange(len(images), device=images.device)
    return padded[which[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
