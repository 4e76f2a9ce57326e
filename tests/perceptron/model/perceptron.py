"""A network with one hidden layer, in NumPy: torch takes longer to be imported than this takes to learn."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from packaging.markers import default_environment
from safetensors.numpy import load_file, save_file

from lineage.records.dataset import read_split
from lineage.records.images import decode
from lineage.records.layout import Description

from .header import HEADER, read_header

Array = NDArray[np.float64]


class Perceptron:
    """Weights by name. Input: uint8 images of shape (records, channels, size, size)."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights = weights

    @classmethod
    def random(cls, inputs: int, hidden: int, classes: int, seed: int) -> Perceptron:
        draw = np.random.default_rng(seed)
        return cls(
            {
                "hidden": draw.normal(0, inputs**-0.5, (inputs, hidden)),
                "output": draw.normal(0, hidden**-0.5, (hidden, classes)),
            }
        )

    def predict(self, images: NDArray[np.uint8]) -> Array:
        """Class probabilities of shape (records, classes)."""
        return self._forward(_flat(images))[1]

    def step(self, images: NDArray[np.uint8], labels: NDArray[np.int64], lr: float, weight_decay: float) -> float:
        """One step of gradient descent; returns the loss before it."""
        inputs = _flat(images)
        hidden, probabilities = self._forward(inputs)
        error = (probabilities - np.eye(probabilities.shape[1])[labels]) / len(labels)
        back = (error @ self.weights["output"].T) * (hidden > 0)
        for name, gradient in (("output", hidden.T @ error), ("hidden", inputs.T @ back)):
            self.weights[name] = (1 - lr * weight_decay) * self.weights[name] - 10 * lr * gradient
        return mean_loss(probabilities, labels)

    def _forward(self, inputs: Array) -> tuple[Array, Array]:
        hidden = np.maximum(inputs @ self.weights["hidden"], 0)
        logits = hidden @ self.weights["output"]
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return hidden, exponents / exponents.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Examples:
    """Images as uint8 (records, channels, size, size) and class numbers as int64 (records,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @classmethod
    def read(cls, dataset: Path, description: Description, split: str) -> Examples:
        images, labels = zip(*read_split(dataset, split), strict=True)
        classes = {name: number for number, name in enumerate(description.classes)}
        pixels = [decode(image, description.image_size, description.channels) for image in images]
        return cls(np.stack(pixels), np.array([classes[label] for label in labels], dtype=np.int64))


def save(path: Path, network: Perceptron, header: dict[str, Any]) -> None:
    save_file(network.weights, path, metadata={HEADER: json.dumps(header, sort_keys=True)})


def load(path: Path) -> tuple[Perceptron, dict[str, Any]]:
    return Perceptron(load_file(path)), read_header(path)


def describe_machine() -> dict[str, Any]:
    """What of this machine can make the same training give other weights."""
    return {
        "device": "cpu",
        "platform": platform.platform(),
        "python": platform.python_version(),
        "threads": 1,
        "markers": dict(default_environment()),
    }


def _flat(images: NDArray[np.uint8]) -> Array:
    return np.asarray(images.reshape(len(images), -1) / 127.5 - 1)


def mean_loss(probabilities: Array, labels: NDArray[np.int64]) -> float:
    """Mean cross-entropy."""
    return float(-np.log(probabilities[np.arange(len(labels)), labels].clip(1e-12)).mean())
