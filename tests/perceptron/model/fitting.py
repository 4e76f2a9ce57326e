"""The training loop. Apart from the network, which the registered model loads without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from lineage.run.checkpoints import Checkpoints

from ..settings import Train
from .history import Epoch
from .perceptron import Examples, Perceptron, mean_loss


def fit(
    network: Perceptron,
    train: Examples,
    val: Examples,
    settings: Train,
    report: Callable[[Epoch], None],
    checkpoints: Checkpoints | None = None,
) -> Epoch:
    """Trains `network` in place, leaves the weights of the best epoch in it, and returns that epoch."""
    shuffle = np.random.default_rng(settings.seed)
    epochs: list[Epoch] = []
    best, best_weights = None, network.weights
    if checkpoints is not None and (saved := checkpoints.load()) is not None:
        head, tensors = saved.split(b"\n", 1)
        state, found = json.loads(head), load(tensors)
        epochs, shuffle.bit_generator.state = [Epoch(**epoch) for epoch in state["epochs"]], state["shuffle"]
        best = Epoch(**state["best"])
        best_weights = {name.removeprefix("best."): found[name] for name in found if name.startswith("best.")}
        network.weights = {name: found[name] for name in best_weights}
    for epoch in epochs:
        report(epoch)
    for number in range(len(epochs) + 1, settings.epochs + 1):
        batches = np.array_split(shuffle.permutation(len(train.labels)), -(-len(train.labels) // settings.batch_size))
        losses = [network.step(train.images[b], train.labels[b], settings.lr, settings.weight_decay) for b in batches]
        probabilities = network.predict(val.images)
        accuracy = float((probabilities.argmax(axis=1) == val.labels).mean())
        epoch = Epoch(number, float(np.mean(losses)), mean_loss(probabilities, val.labels), accuracy)
        report(epoch)
        epochs.append(epoch)
        if best is None or (epoch.val_accuracy, -epoch.val_loss) > (best.val_accuracy, -best.val_loss):
            best, best_weights = epoch, dict(network.weights)
        if checkpoints is not None:
            state = {"epochs": epochs, "best": best, "shuffle": shuffle.bit_generator.state}
            checkpoints.save(_bytes(state, {**network.weights, **_named(best_weights)}), number)
    assert best is not None
    network.weights = best_weights
    return best


def _named(best: dict[str, Any]) -> dict[str, Any]:
    return {f"best.{name}": array for name, array in best.items()}


def _bytes(state: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    return json.dumps(state, default=asdict).encode() + b"\n" + save(arrays)
