"""How good a model is on the test split: scores, the confusion matrix, the scores of each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .tables import write_csv


def overall_scores(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, float]:
    """accuracy, f1_macro, loss and the number of records. `probabilities`: (records, classes); `truth`: (records,)."""
    predicted = probabilities.argmax(axis=1)
    _, _, f1, support = _scores_by_class(predicted, truth, probabilities.shape[1])
    of_truth = probabilities[np.arange(len(truth)), truth] / probabilities.sum(axis=1)
    return {
        "accuracy": float((predicted == truth).mean()),
        "f1_macro": float(f1[support > 0].mean()),  # a class without test records has no score to average
        "loss": float(-np.log(of_truth.clip(min=np.finfo(np.float64).eps)).mean()),
        "records": len(truth),
    }


def write_class_scores(path: Path, predicted: NDArray[np.int64], truth: NDArray[np.int64], classes: list[str]) -> None:
    """A CSV with precision, recall, F1 and the number of test records of each class."""
    precision, recall, f1, support = _scores_by_class(predicted, truth, len(classes))
    rows = zip(classes, precision, recall, f1, support, strict=True)
    write_csv(path, ["class", "precision", "recall", "f1", "records"], rows)


def write_confusion(path: Path, predicted: NDArray[np.int64], truth: NDArray[np.int64], classes: list[str]) -> None:
    """A CSV with one row a test record, for dvc's template `confusion`."""
    rows = ((classes[actual], classes[guess]) for actual, guess in zip(truth, predicted, strict=True))
    write_csv(path, ["actual", "predicted"], rows)


def _scores_by_class(
    predicted: NDArray[np.int64], truth: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Precision, recall, F1 and the number of test records, each of shape (classes,); 0 where nothing can be divided.

    As scikit-learn's `precision_recall_fscore_support` has them, without its import of 2 s.
    """
    right = np.bincount(truth[predicted == truth], minlength=classes)
    guessed, support = np.bincount(predicted, minlength=classes), np.bincount(truth, minlength=classes)
    precision, recall = right / np.maximum(guessed, 1), right / np.maximum(support, 1)
    return precision, recall, 2 * right / np.maximum(guessed + support, 1), support
