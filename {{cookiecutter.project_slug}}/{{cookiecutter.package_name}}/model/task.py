"""A training from beginning to end, as every process of it carries it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from lineage.base.memory import keep_freed_memory
from lineage.records.layout import Description
from lineage.run.checkpoints import Checkpoints
from lineage.run.ranks import Rank

from ..settings import Train
from . import checkpoint
from .device import choose_device, describe_machine, make_deterministic
from .history import Epoch
from .inference import Examples
from .pretrained import start_from
from .ranks import ALONE, Alone, Several
from .resume import decides
from .training import fit
from .trial import build_and_try


class Splits(Protocol):
    """Where a process gets the examples of a split from."""

    def load(self, split: str, device: torch.device) -> Examples:
        """All records of it, decoded, in the order of the manifest."""


@dataclass(frozen=True)
class Task:
    """What a training works with."""

    settings: Train
    threads: int  # of each process
    architecture: dict[str, Any]
    data: Description
    splits: Splits
    pretrained: Path | None  # the weights that it starts from, if it does
    target: Path  # where the weights of the best epoch go
    checkpoints: Checkpoints | None  # where it is saved after each epoch


@dataclass(frozen=True)
class Trained:
    """What is known of a training when it is over."""

    best: Epoch
    machine: dict[str, Any]
    pretrained_sha256: str | None


def train(task: Task, on_epoch: Callable[[Epoch], None]) -> Trained:
    """Trains in this process."""
    make_deterministic(task.settings.seed, task.threads, task.settings.deterministic)
    return _train(task, choose_device(task.settings.device), ALONE, task.threads, on_epoch)


def train_as_rank(rank: Rank, task: Task) -> Trained:
    """Trains as one of several processes. The first tells of each epoch, and saves."""
    device = choose_device(task.settings.device, rank.local)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    ranks = Several(rank, device)
    threads = ranks.same(task.threads)  # machines of one kind may differ, and the number is part of the result
    make_deterministic(task.settings.seed, threads, task.settings.deterministic)
    trained = _train(task, device, ranks, threads, rank.tell if rank.is_first else _say_nothing)
    ranks.leave()
    return trained


def _say_nothing(_: Epoch) -> None:
    pass


def _train(task: Task, device: torch.device, ranks: Alone, threads: int, on_epoch: Callable[[Epoch], None]) -> Trained:
    data = task.data
    network = build_and_try(task.architecture, data.channels, data.image_size, len(data.classes))
    examples, val = (task.splits.load(split, device) for split in ("train", "val"))
    started = start_from(network, task.pretrained) if task.pretrained else None
    network.to(device)
    machine = {**describe_machine(device, threads), "processes": ranks.of}
    kept = replace(task.checkpoints, made_on=decides(machine)) if task.checkpoints else None
    keep_freed_memory()
    best = fit(network, examples, val, task.settings, on_epoch, ranks, kept)

    if ranks.is_first:
        header = {
            "architecture": task.architecture,
            "classes": data.classes,
            "image_size": data.image_size,
            "channels": data.channels,
            "background": data.background,
            "further_pages": data.further_pages,
        }
        checkpoint.save(task.target, network, header)
    return Trained(best, machine, started)
