from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from project.evaluation import overall_scores, write_class_scores
from sklearn.metrics import log_loss, precision_recall_fscore_support


@pytest.mark.parametrize("records", [1, 7, 400])
def test_the_scores_are_those_of_scikit_learn(tmp_path: Path, records: int) -> None:
    random = np.random.default_rng(records)
    probabilities, truth = (
        random.dirichlet([0.4] * 5, records),
        random.integers(0, 4, records),
    )  # none of the last class
    predicted = probabilities.argmax(axis=1)
    expected = precision_recall_fscore_support(truth, predicted, labels=range(5), zero_division=0.0)
    scores = overall_scores(probabilities, truth)
    assert scores["loss"] == pytest.approx(log_loss(truth, probabilities, labels=range(5)))
    assert scores["f1_macro"] == pytest.approx(expected[2][expected[3] > 0].mean())
    assert scores["accuracy"] == pytest.approx((predicted == truth).mean())

    write_class_scores(tmp_path / "classes.csv", predicted, truth, list("abcde"))
    written = np.genfromtxt(tmp_path / "classes.csv", delimiter=",", skip_header=1, usecols=(1, 2, 3, 4))
    assert written == pytest.approx(np.stack(expected, axis=1))
