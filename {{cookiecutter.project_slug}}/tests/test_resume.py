"""A training that was interrupted goes on, and ends with the same bits as one that was not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from project.model.history import Epoch
from project.model.inference import Examples
from project.model.training import fit
from project.settings import Train
from torch import Tensor, nn

from lineage.run.checkpoints import Checkpoints

EPOCHS = 5


class KilledError(Exception):
    """In the place of a kill."""


class Odd(nn.Module):
    """Batch norm, dropout, random numbers of three libraries; layers that are used in another order than they stand."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = nn.Linear(16, 2), nn.Linear(64, 16)
        self.norm, self.dropout = nn.BatchNorm1d(16), nn.Dropout(0.3)

    def forward(self, images: Tensor) -> Tensor:
        noise = random.gauss(1, 0.1) * np.random.normal(1, 0.1) if self.training else 1.0
        logits: Tensor = self.last(self.dropout(torch.relu(self.norm(self.first(images.flatten(1)) * noise))))
        return logits


def examples(count: int, seed: int) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return Examples(images, (images.float().mean(dim=(1, 2, 3)) > 127).long())


def result(settings: Train, checkpoints: Checkpoints | None = None, stop: int = 0, **how: Any) -> list[Any]:
    """Weights and epochs of a training; it is interrupted after epoch `stop`."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    network, epochs = Odd(), list[Epoch]()

    def hear(epoch: Epoch) -> None:
        epochs.append(epoch)
        if epoch.number == stop:
            raise KilledError

    best = fit(network, examples(55, 1), examples(21, 2), settings, hear, checkpoints=checkpoints, **how)
    return [{name: tensor.tolist() for name, tensor in network.state_dict().items()}, epochs, best]


@pytest.fixture
def settings(params: dict[str, Any]) -> Train:
    quick = {"epochs": EPOCHS, "batch_size": 16, "lr": 0.05, "seed": 1, "device": "cpu", "flip": True, "threads": 1}
    return Train.model_validate(params["train"] | quick)


def place(folder: Path) -> Checkpoints:
    folder.mkdir()
    return Checkpoints(folder, key="of these inputs")


@pytest.mark.parametrize("stops", [[1], [3], [EPOCHS], [1, 2, 4]], ids=str)
def test_the_same_bits_after_interruptions(stops: list[int], settings: Train, tmp_path: Path) -> None:
    undisturbed, checkpoints = result(settings), place(tmp_path / "kept")
    for stop in stops:
        with pytest.raises(KilledError):
            result(settings, checkpoints, stop)
    assert result(settings, checkpoints) == undisturbed


def test_checkpoints_change_nothing(settings: Train, tmp_path: Path) -> None:
    assert result(settings, place(tmp_path / "kept")) == result(settings)


def test_several_processes_go_on_together(several: dict[str, Any]) -> None:
    for processes in ("2", "4"):  # of more than two numbers, the order in which they are added makes a difference
        assert several[processes]["resumed"] == {"stops": [1, 3], "is_the_same": True}
