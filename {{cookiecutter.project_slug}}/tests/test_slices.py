"""Scores of parts of the test split: no more certain than the subjects behind them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from project.intervals import accuracy_interval
from project.slices import TOO_SMALL, Slice, as_metrics, name_of, scores_by_slice, worst_of, write_slices
from scipy.stats import binomtest

OVERALL = {"accuracy": 0.9, "f1_macro": 0.9, "loss": 0.1, "records": 80, "subjects": 40}


def cut(right: list[float], values: list[str], subjects: list[str] | None = None, least: int = 10) -> list[Slice]:
    """Slices of records of which some are classified right."""
    truth = np.zeros(len(right), np.int64)
    probabilities = np.stack([right, 1 - np.array(right)], axis=1)
    people = subjects or [str(number) for number in range(len(right))]
    return scores_by_slice(probabilities, truth, people, {"scanner": values}, least)


@pytest.mark.parametrize("wrong", [0, 1, 20, 150])
def test_with_one_record_a_subject_the_interval_is_wilson_s(wrong: int) -> None:
    right = np.array([0.0] * wrong + [1.0] * (400 - wrong))
    low, high = accuracy_interval(right, np.arange(400))
    expected = binomtest(400 - wrong, 400).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.002)


def test_it_holds_the_truth_as_often_as_it_says_where_records_belong_together() -> None:
    random, hits, naive, times = np.random.default_rng(1), 0, 0, 400
    subjects = np.repeat(np.arange(40), 10)
    for _ in range(times):
        right = (random.random(400) < np.repeat(random.beta(4, 1, 40), 10)).astype(float)  # on average 0.8
        low, high = accuracy_interval(right, subjects)
        hits += low <= 0.8 <= high
        alone = binomtest(int(right.sum()), 400).proportion_ci(method="wilson")
        naive += alone.low <= 0.8 <= alone.high
    assert hits / times > 0.92
    assert naive / times < 0.85  # what it would be without a look at subjects


def test_all_right_is_no_certainty() -> None:
    low, high = accuracy_interval(np.ones(200), np.repeat(np.arange(10), 20))
    assert high == 1.0
    assert 0.5 < low < 0.8  # ten subjects, not 200 records


@pytest.mark.parametrize("wrong", [1, 2, 5])
def test_a_mistake_makes_nothing_surer(wrong: int) -> None:
    """One wrong record of 200 says nothing of how much subjects differ, and less good is not more certain."""
    subjects, right = np.repeat(np.arange(10), 20), np.ones(200)
    perfect, none = accuracy_interval(right, subjects), accuracy_interval(1 - right, subjects)
    right[:wrong] = 0
    assert accuracy_interval(right, subjects)[0] <= perfect[0] < 0.7
    assert accuracy_interval(1 - right, subjects)[1] >= none[1] > 0.3


def test_the_worst_is_named_among_those_that_are_large_enough() -> None:
    values = ["A"] * 40 + ["B"] * 40 + ["C"] * 3
    slices = cut([1.0] * 40 + [0.0] * 10 + [1.0] * 30 + [0.0] * 3, values)
    assert [(each.value, each.scores["accuracy"], each.subjects) for each in slices] == [
        ("A", 1.0, 40),
        ("B", 0.75, 40),
        ("C", 0.0, 3),
    ]
    assert [each.is_too_small for each in slices] == [False, False, True]
    worst = worst_of(slices)
    assert worst is not None
    assert worst.value == "B"
    by_slice, flat = as_metrics(slices)
    assert by_slice["worst_slice"] == "scanner:B"
    assert by_slice["slices"]["scanner:C"]["note"] == TOO_SMALL
    assert flat["worst_slice_accuracy"] == flat["slices_scanner:B_accuracy"] == 0.75
    assert "slices_scanner:C_low" not in flat


def test_a_subject_counts_once_however_many_records_it_has() -> None:
    slices = cut([1.0] * 90, ["A"] * 90, [str(number % 9) for number in range(90)])
    assert slices[0].is_too_small
    assert worst_of(slices) is None
    assert "worst_slice" not in as_metrics(slices)[0]


def test_without_slices_there_is_a_row_of_all_records(tmp_path: Path) -> None:
    assert scores_by_slice(np.ones((3, 1)), np.zeros(3, np.int64), ["a", "b", "c"], {}, 10) == []
    assert as_metrics([]) == ({}, {})
    write_slices(tmp_path / "slices.csv", OVERALL, [])
    with (tmp_path / "slices.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["slice"], float(row["accuracy"]), int(row["records"])) == ("all", 0.9, 80)


def test_names_are_those_that_mlflow_takes_and_none_is_lost(tmp_path: Path) -> None:
    values: list[Any] = ["A/1", "A_1", "A.1", "Ärzte (Süd)"]
    slices = cut([1.0] * 80, values * 20)
    names = list(as_metrics(slices)[0]["slices"])
    assert names == ["scanner:A:2E1", "scanner:A:2F1", "scanner:A_1", "scanner:Ärzte :28Süd:29"]
    write_slices(tmp_path / "slices.csv", OVERALL, slices)
    with (tmp_path / "slices.csv").open(encoding="utf-8") as file:
        assert [row["value"] for row in csv.DictReader(file)] == ["", *sorted(values)]


def test_a_name_is_made_of_the_value_alone_and_of_no_other() -> None:
    """Else a series in MLflow would be about another site as soon as one more has records."""
    values = ["A.1", "A_1", "A:2E1", "A:", "A", "a", "½", "x" * 300, "x" * 299 + "y", ".", "/", "%2E", ":2E", ""]
    names = [name_of("site", value) for value in values]
    assert len({*names}) == len(values)
    assert max(map(len, names)) <= 200
    alone = [list(as_metrics(cut([1.0], [value]))[0]["slices"]) for value in values]
    together = list(as_metrics(cut([1.0] * len(values), values))[0]["slices"])
    assert sorted(name for (name,) in alone) == sorted(together)
