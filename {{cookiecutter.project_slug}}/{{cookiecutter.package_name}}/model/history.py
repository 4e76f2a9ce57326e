"""The epochs of a training, as they go and as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..tables import write_csv


@dataclass(frozen=True)
class Epoch:
    """How one epoch went; `number` counts from 1."""

    number: int
    train_loss: float
    val_loss: float
    val_accuracy: float


class History:
    """Tells `report(values, step)` of each epoch, and keeps all of them for `write`."""

    def __init__(self, report: Callable[[dict[str, float], int], None]) -> None:
        self._report = report
        self._epochs: list[dict[str, float]] = []

    def add(self, epoch: Epoch) -> None:
        values = asdict(epoch)
        number = values.pop("number")
        self._report(values, number)
        self._epochs.append({"epoch": number, **values})

    def write(self, path: Path) -> None:
        """Writes a CSV with one row an epoch, for `dvc plots`."""
        write_csv(path, list(self._epochs[0]), (epoch.values() for epoch in self._epochs))
