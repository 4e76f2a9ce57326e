"""The training loop. Apart from the network, which the registered model loads without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..settings import Train
from .history import Epoch
from .perceptron import Examples, Perceptron, mean_loss


def fit(network: Perceptron, train: Examples, val: Examples, settings: Train, report: Callable[[Epoch], None]) -> Epoch:
    """Trains `network` in place, leaves the weights of the best epoch in it, and returns that epoch."""
    shuffle = np.random.default_rng(settings.seed)
    best, best_weights = None, network.weights
    for number in range(1, settings.epochs + 1):
        batches = np.array_split(shuffle.permutation(len(train.labels)), -(-len(train.labels) // settings.batch_size))
        losses = [network.step(train.images[b], train.labels[b], settings.lr, settings.weight_decay) for b in batches]
        probabilities = network.predict(val.images)
        accuracy = float((probabilities.argmax(axis=1) == val.labels).mean())
        epoch = Epoch(number, float(np.mean(losses)), mean_loss(probabilities, val.labels), accuracy)
        report(epoch)
        if best is None or (epoch.val_accuracy, -epoch.val_loss) > (best.val_accuracy, -best.val_loss):
            best, best_weights = epoch, dict(network.weights)
    assert best is not None
    network.weights = best_weights
    return best
