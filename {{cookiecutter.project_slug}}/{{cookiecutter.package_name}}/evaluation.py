"""How good a model is on the test split: scores, the confusion matrix, the scores of each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss, precision_recall_fscore_support

from .tables import write_csv


def overall_scores(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, float]:
    """accuracy, f1_macro, loss and the number of records. `probabilities`: (records, classes); `truth`: (records,)."""
    predicted = probabilities.argmax(axis=1)
    classes = range(probabilities.shape[1])
    _, _, f1, support = precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0.0)
    return {
        "accuracy": float((predicted == truth).mean()),
        "f1_macro": float(f1[support > 0].mean()),  # a class without test records has no score to average
        "loss": float(log_loss(truth, probabilities / probabilities.sum(axis=1, keepdims=True), labels=classes)),
        "records": len(truth),
    }


def write_class_scores(path: Path, predicted: NDArray[np.int64], truth: NDArray[np.int64], classes: list[str]) -> None:
    """A CSV with precision, recall, F1 and the number of test records of each class."""
    scores = precision_recall_fscore_support(truth, predicted, labels=range(len(classes)), zero_division=0.0)
    precision, recall, f1, support = scores
    rows = zip(classes, precision, recall, f1, support, strict=True)
    write_csv(path, ["class", "precision", "recall", "f1", "records"], rows)


def write_confusion(path: Path, predicted: NDArray[np.int64], truth: NDArray[np.int64], classes: list[str]) -> None:
    """A CSV with one row a test record, for dvc's template `confusion`."""
    rows = ((classes[actual], classes[guess]) for actual, guess in zip(truth, predicted, strict=True))
    write_csv(path, ["actual", "predicted"], rows)
