"""How far a training is: saved after each epoch, and taken up again after an interruption, bit by bit."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lineage.run.checkpoints import Checkpoints

from .history import Epoch
from .ranks import Alone

DECIDES = ("device", "accelerator", "processor", "cpu_capability", "python", "torch", "threads", "processes")


def decides(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What of a machine's description decides the bits of a training."""
    return {name: machine[name] for name in DECIDES}


class Progress:
    """The epochs that are done, and the weights of the best: from a checkpoint, where there is one.

    `parts` are what learns: the `network`, the optimiser, the schedule, the generator of the shuffling. They are put
    into the state of the checkpoint, and so is the state of all random numbers. Of several `ranks` the first has the
    checkpoints.
    """

    def __init__(self, checkpoints: Checkpoints | None, ranks: Alone, device: torch.device, **parts: Any) -> None:
        self.epochs: list[Epoch] = []
        self.best: Epoch | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self._ranks, self._device, self._parts = ranks, device, parts
        found = (checkpoints, checkpoints.load()) if checkpoints and ranks.is_first else (None, None)
        self._checkpoints, saved = ranks.of_first(found)
        if saved is not None:
            self._take_up(torch.load(BytesIO(saved), map_location="cpu", weights_only=True))

    def _take_up(self, saved: dict[str, Any]) -> None:
        self.epochs = [Epoch(**epoch) for epoch in saved["epochs"]]
        self.best = Epoch(**saved["best"])
        for name, part in self._parts.items():
            put = part.set_state if isinstance(part, torch.Generator) else part.load_state_dict
            put(saved["parts"][name])
        # what is twice in it is saved once
        self.best_weights = saved["best_weights"] or copy.deepcopy(self._parts["network"].state_dict())
        _set_random_state(saved["random"][self._ranks.number], self._device)

    def add(self, epoch: Epoch) -> None:
        """Keeps an epoch, and a copy of the weights if it is the best. Saves all of it."""
        self.epochs.append(epoch)
        if self.best is None or (epoch.val_accuracy, -epoch.val_loss) > (self.best.val_accuracy, -self.best.val_loss):
            self.best, self.best_weights = epoch, copy.deepcopy(self._parts["network"].state_dict())
        if self._checkpoints is None:
            return
        everybody = self._ranks.of_all(_random_state(self._device))
        if not self._ranks.is_first:
            return
        parts = {
            name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
            for name, part in self._parts.items()
        }
        told = {"epochs": [asdict(epoch) for epoch in self.epochs], "best": asdict(self.best)}
        file, earlier = BytesIO(), None if self.best is epoch else self.best_weights
        torch.save({**told, "best_weights": earlier, "parts": parts, "random": everybody}, file)
        self._checkpoints.save(file.getbuffer(), epoch.number)


def _random_state(device: torch.device) -> dict[str, Any]:
    """That of every generator that code of a network may use without naming one."""
    of_numpy: Any = np.random.get_state()
    kind, keys, *rest = of_numpy
    state = {"python": random.getstate(), "numpy": (kind, keys.tolist(), *rest), "torch": torch.get_rng_state()}
    if device.type == "cuda":
        state["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["device"] = torch.mps.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state["device"])
