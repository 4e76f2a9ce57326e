"""The training loop."""

from __future__ import annotations

from collections.abc import Callable

import torch
from rich import progress as shown
from rich.console import Console
from rich.text import Text
from torch import nn
from torch.nn import functional

from lineage.run.checkpoints import Checkpoints

from ..settings import Train
from .augment import augment
from .history import Epoch
from .inference import Examples
from .networks import normalise
from .ranks import ALONE, Alone
from .resume import Progress


def fit(
    network: nn.Module,
    train: Examples,
    val: Examples,
    settings: Train,
    on_epoch: Callable[[Epoch], None],
    ranks: Alone = ALONE,
    checkpoints: Checkpoints | None = None,
) -> Epoch:
    """Trains `network` in place, leaves the weights of the best epoch in it, and returns that epoch.

    Best is the highest accuracy on `val`, then the lowest loss on it. `on_epoch` hears of every epoch. Each of several
    `ranks` calls it with the same network and the same examples, and works on its share of each batch. With
    `checkpoints` a training that was interrupted goes on, and gives the same bits as one that was not.
    """
    device = train.labels.device
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    network.to(memory_format=layout)
    shuffle = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same order on every device
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * -(-len(train) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=settings.lr, total_steps=steps)
    if not ranks.is_first:
        torch.manual_seed(settings.seed + ranks.number)  # so that dropout is not the same in all shares of a batch
    learns = {"network": network, "optimiser": optimiser, "schedule": schedule, "shuffle": shuffle}
    progress = Progress(checkpoints, ranks, device, **learns)
    for epoch in progress.epochs:
        on_epoch(epoch)

    with shown.Progress(*COLUMNS, console=Console(stderr=True), disable=not ranks.is_first) as bar:
        done, all_of_it = len(progress.epochs), settings.epochs * len(train)
        task = bar.add_task("training", total=all_of_it, completed=done * len(train))
        for number in range(done + 1, settings.epochs + 1):
            # anew: the order in which processes add their gradients must not depend on the epochs before
            model = ranks.join(network.train())
            losses, sizes = [], []
            for batch in torch.split(torch.randperm(len(train), generator=shuffle), settings.batch_size):
                bar.advance(task, len(batch))
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
            progress.add(epoch)
            on_epoch(epoch)

    assert progress.best is not None and progress.best_weights is not None  # settings.epochs is at least 1
    network.load_state_dict(progress.best_weights)
    return progress.best


class Rate(shown.ProgressColumn):
    """Images a second."""

    def render(self, task: shown.Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} images/s")


COLUMNS = (
    shown.TextColumn("{task.description}"),
    shown.BarColumn(),
    shown.TextColumn("{task.percentage:>3.0f}%"),
    Rate(),
    shown.TimeRemainingColumn(),
)
