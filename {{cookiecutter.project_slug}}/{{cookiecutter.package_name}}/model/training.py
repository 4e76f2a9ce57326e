"""The training loop."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import nn
from torch.nn import functional

from ..settings import Train
from .augment import augment
from .history import Epoch
from .inference import Examples
from .networks import normalise
from .ranks import ALONE, Alone


def fit(
    network: nn.Module,
    train: Examples,
    val: Examples,
    settings: Train,
    on_epoch: Callable[[Epoch], None],
    ranks: Alone = ALONE,
) -> Epoch:
    """Trains `network` in place, leaves the weights of the best epoch in it, and returns that epoch.

    Best is the highest accuracy on `val`, then the lowest loss on it. `on_epoch` hears of every epoch. Each of several
    `ranks` calls it with the same network and the same examples, and works on its share of each batch.
    """
    device = train.labels.device
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    network.to(memory_format=layout)
    shuffle = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same order on every device
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * -(-len(train) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=settings.lr, total_steps=steps)
    model = ranks.join(network)
    if not ranks.is_first:
        torch.manual_seed(settings.seed + ranks.number)  # so that dropout is not the same in all shares of a batch
    best, best_weights = None, None

    with Progress(*COLUMNS, console=Console(stderr=True), disable=not ranks.is_first) as progress:
        task = progress.add_task("training", total=settings.epochs * len(train))
        for number in range(1, settings.epochs + 1):
            network.train()
            losses, sizes = [], []
            for batch in torch.split(torch.randperm(len(train), generator=shuffle), settings.batch_size):
                progress.advance(task, len(batch))
                if len(batch) == 1:
                    schedule.step()
                    continue  # a left-over image: batch norm cannot learn from one
                share = ranks.share(len(batch))
                images, labels = train.batch(batch[share.own])
                images = normalise(augment(images, settings, shuffle, share)).contiguous(memory_format=layout)
                with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                    logits = model(images)
                loss = functional.cross_entropy(logits.float(), labels)
                optimiser.zero_grad()
                ranks.weighed(loss, share).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                losses.append(loss.detach())  # a number now would wait for the device, at each step
                sizes.append(share.counts)

            told = torch.stack(losses).tolist() if losses else []
            total = sum(loss * size for loss, size in zip(told, sizes, strict=True))
            val_loss, val_accuracy = ranks.score(network, val, settings.batch_size)
            epoch = Epoch(number, ranks.mean(total, sum(sizes)), val_loss, val_accuracy)
            on_epoch(epoch)
            if best is None or (epoch.val_accuracy, -epoch.val_loss) > (best.val_accuracy, -best.val_loss):
                best, best_weights = epoch, copy.deepcopy(network.state_dict())

    assert best is not None and best_weights is not None  # settings.epochs is at least 1
    network.load_state_dict(best_weights)
    return best


class Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} images/s")


COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.percentage:>3.0f}%"),
    Rate(),
    TimeRemainingColumn(),
)
