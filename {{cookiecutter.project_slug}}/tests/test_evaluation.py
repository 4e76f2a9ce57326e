from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from project.evaluation import overall_scores, write_class_scores
from project.intervals import LEAST_SUBJECTS, accuracy_interval
from scipy.stats import binomtest, bootstrap
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


def test_the_interval_is_that_of_scipy_over_subjects() -> None:
    random = np.random.default_rng(3)
    owners, right = random.integers(0, 60, 300), random.random(300) < 0.9
    found = accuracy_interval(right, np.array([f"S-{owner:02}" for owner in owners], dtype=object))
    _, owners = np.unique(owners, return_inverse=True)
    sums, counts = np.bincount(owners, weights=right), np.bincount(owners)
    expected = bootstrap(
        (sums, counts),
        lambda sums, counts, axis=-1: sums.sum(axis=axis) / counts.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert found == {"subjects": len(counts), "accuracy_low": expected.low, "accuracy_high": expected.high}


def test_of_few_subjects_there_is_no_interval() -> None:
    subjects = np.array([f"S-{number}" for number in range(LEAST_SUBJECTS - 1)] * 100, dtype=object)
    assert accuracy_interval(np.arange(len(subjects)) % 2 == 0, subjects) == {"subjects": LEAST_SUBJECTS - 1}


@pytest.mark.parametrize("right", [True, False])
def test_no_mistake_is_no_proof_of_perfection(right: bool) -> None:
    subjects = np.array([f"S-{number}" for number in range(50)], dtype=object)
    found = accuracy_interval(np.full(50, right), subjects)
    exact = binomtest(50 if right else 0, 50).proportion_ci(0.95, method="exact")
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx((exact.low, exact.high))
