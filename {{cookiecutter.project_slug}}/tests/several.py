"""Trainings by several processes, for test_ranks.py and test_resume.py: a program, since ranks are new processes.

    python several.py SETTINGS FOLDER

To start a rank takes seconds, so that all trainings share two starts. What was learned is in FOLDER/found.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import conftest  # noqa: F401  # the package gets its name `project`
import torch
from project.model.ranks import ALONE, Several
from project.model.training import fit
from project.settings import Train
from test_resume import KilledError, examples, place, result
from torch import Tensor, nn

from lineage.base.hosts import Hosts
from lineage.run.ranks import Rank, work_in_ranks

STOPS = (1, 3)


class Small(nn.Module):
    """No batch norm, no dropout: what differs between one process and several is the order of sums."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.flatten(1))
        return logits


def learned(settings: Train, several: Any = ALONE) -> list[Any]:
    """Weights and numbers of each epoch."""
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    network, epochs = Small(), list[Any]()
    # 55 records in batches of 16: the last one has 7; with 4 processes that is too few to share
    fit(network, examples(55, 1), examples(21, 2), settings, epochs.append, several)
    numbers = [[epoch.train_loss, epoch.val_loss, epoch.val_accuracy] for epoch in epochs]
    return [network.layer.weight.detach().tolist(), numbers]


def resumed(settings: Train, folder: Path, several: Several) -> dict[str, Any]:
    """The result of a training, and of one that was interrupted after each of STOPS."""
    undisturbed, stops = result(settings, ranks=several), []
    checkpoints = place(folder)
    for stop in STOPS:
        try:
            result(settings, checkpoints, stop, ranks=several)
        except KilledError:
            stops.append(stop)
    again = result(settings, checkpoints, ranks=several)
    return {"stops": stops, "is_the_same": undisturbed == again}


def as_rank(rank: Rank, given: tuple[Train, Path]) -> dict[str, Any]:
    """What each process does."""
    settings, folder = given
    several = Several(rank, torch.device("cpu"))
    twice = [learned(settings, several) for _ in range(2)]
    found = {"learned": twice, "resumed": resumed(settings, folder / f"{rank.of}-{rank.number}", several)}
    several.leave()
    return found


def main() -> None:
    settings, folder = Train.model_validate_json(sys.argv[1]), Path(sys.argv[2])
    found: dict[int, Any] = {1: {"learned": [learned(settings)]}}
    for processes in (2, 4):
        made = {"processes": processes, "hosts": Hosts(), "hear": print}
        found[processes] = work_in_ranks(as_rank, (settings, folder), **made)
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
