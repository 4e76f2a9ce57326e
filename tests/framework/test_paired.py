"""Intervals of the difference between two models on the same records."""

from __future__ import annotations

import numpy as np
import pytest

from lineage.judgement.paired import LEAST_GROUPS, PairedDifference, paired_difference

RNG = np.random.default_rng(7)
RIGHT = (RNG.random(400) < 0.8).astype(float)


def test_a_clear_difference_is_sure_and_none_is_not() -> None:
    worse = np.where(np.arange(400) % 5 == 0, 0.0, RIGHT)  # a fifth of the records is lost
    found = paired_difference(RIGHT, worse)
    assert found.value == pytest.approx((worse - RIGHT).mean())
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high < 0
    assert found.is_sure
    assert (found.records, found.groups) == (400, 400)
    assert not paired_difference(RIGHT, np.roll(RIGHT, 1)).is_sure


def test_equal_arguments_give_equal_intervals_and_order_does_not_count() -> None:
    other = np.roll(RIGHT, 3)
    assert paired_difference(RIGHT, other) == paired_difference(RIGHT, other)
    assert paired_difference(RIGHT, other, seed=1) != paired_difference(RIGHT, other)


def test_records_of_one_subject_are_not_independent() -> None:
    """Ten copies of each record say no more than one of each does."""
    other = np.roll(RIGHT, 3)
    alone = paired_difference(RIGHT, other)
    subjects = [f"P{number:03d}" for number in range(400)]
    copied = paired_difference(*(np.repeat(each, 10) for each in (RIGHT, other, subjects)))
    believed = paired_difference(np.repeat(RIGHT, 10), np.repeat(other, 10))
    assert copied.groups == 400
    assert copied.records == 4000
    assert (copied.low, copied.high) == (alone.low, alone.high)
    assert _width(believed) < _width(copied) / 2.5


def test_a_subject_counts_by_its_records() -> None:
    after = np.array([1.0] * 50 + [0.0] * 30)
    subjects = ["large"] * 50 + [f"P{number}" for number in range(30)]
    found = paired_difference(np.zeros(80), after, subjects)
    assert found.value == 50 / 80
    assert found.groups == 31
    assert _width(found) > 0.5  # all of the success is one subject's


def test_the_interval_has_the_level_that_it_claims() -> None:
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        before, after = (rng.random((2, 100)) < np.array([[0.5], [0.7]])).astype(float)
        found = paired_difference(before, after, resamples=500)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.2 <= found.high
    assert 180 <= inside <= 198


@pytest.mark.parametrize("groups", [None, ["A"] * 200 + ["B"] * 200])
def test_too_few_subjects_say_nothing(groups: list[str] | None) -> None:
    records = 400 if groups else LEAST_GROUPS - 1
    found = paired_difference(RIGHT[:records], np.zeros(records), groups)
    assert (found.low, found.high, found.is_sure, found.is_too_small) == (None, None, False, True)
    assert found.value < 0


def test_agreement_on_all_records_is_not_certainty() -> None:
    same = paired_difference(RIGHT[:30], RIGHT[:30])
    assert same.value == 0
    assert same.high == pytest.approx(1 - 0.025 ** (1 / 30))  # the exact limit for none of 30
    assert same.low == pytest.approx(-(1 - 0.025 ** (1 / 30)))
    better = paired_difference(np.zeros(30), np.ones(30))
    assert (better.value, better.high) == (1.0, 1.0)
    assert better.low == pytest.approx(1 - 2 * (1 - 0.025 ** (1 / 30)))


def test_what_no_subject_shows_may_be_there_all_the_same() -> None:
    wrong = np.ones(30)
    wrong[0] = 0
    better, worse = paired_difference(wrong, np.ones(30)), paired_difference(np.ones(30), wrong)
    limit = 1 - 0.025 ** (1 / 30)  # the exact one for none of 30
    assert better.low == pytest.approx(1 / 30 - np.hypot(1 / 30, limit))
    assert (worse.low, worse.high) == (pytest.approx(-better.high), pytest.approx(-better.low))  # type: ignore[operator]
    assert not better.is_sure
    many = np.ones(300)
    many[:30] = 0
    assert paired_difference(many, np.ones(300)).is_sure


def test_where_nothing_is_known_of_the_scale_there_is_no_interval() -> None:
    loss = np.linspace(0.1, 4, 40)
    found = paired_difference(loss, loss)
    assert (found.value, found.low, found.high) == (0.0, None, None)
    assert not found.is_too_small
    alike = paired_difference(np.zeros(60), np.tile([0.0, 1.0], 30), np.repeat(np.arange(30), 2))
    assert (alike.value, alike.low, alike.high) == (0.5, None, None)


@pytest.mark.parametrize(
    ("before", "after", "groups", "said"),
    [
        ([], [], None, "some records"),
        ([1.0], [1.0, 0.0], None, "not of the same records"),
        ([1.0, float("nan")], [1.0, 0.0], None, "no numbers"),
        ([[1.0], [0.0]], [[1.0], [0.0]], None, "some records"),
        ([1.0, 0.0], [1.0, 0.0], ["P"], "1 groups"),
    ],
)
def test_what_cannot_be_compared_is_refused(before: object, after: object, groups: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        paired_difference(before, after, groups)  # type: ignore[arg-type]


def _width(found: PairedDifference) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low
