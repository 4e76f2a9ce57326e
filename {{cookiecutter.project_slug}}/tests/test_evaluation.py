from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from project.evaluation import overall_scores, write_class_scores
from project.intervals import interval_scores
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


def test_the_interval_is_around_the_accuracy() -> None:
    right = np.arange(300) % 10 > 0
    found = interval_scores(right, [f"S-{number % 60:02}" for number in range(300)], 10)
    assert found["subjects"] == 60
    assert 0 < found["accuracy_low"] < 0.9 < found["accuracy_high"] < 1


def test_of_few_subjects_there_is_no_interval() -> None:
    subjects = [f"S-{number}" for number in range(9)] * 100
    assert interval_scores(np.arange(900) % 2 == 0, subjects, 10) == {"subjects": 9}


@pytest.mark.parametrize("right", [True, False])
def test_no_mistake_is_no_proof_of_perfection(right: bool) -> None:
    found = interval_scores(np.full(50, right), [f"S-{number}" for number in range(50)], 10)
    assert found["accuracy_high"] - found["accuracy_low"] > 0.05
