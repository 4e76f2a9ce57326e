from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.records.selection import ends_shard, is_sampled, split_of, unit_hash

MANY = [f"SCAN-{number:05d}" for number in range(20_000)]
IDS = st.lists(st.text(), unique=True, max_size=50)
FRACTIONS = st.floats(min_value=0.001, max_value=1)


def sample(ids: list[str], fraction: float, salt: str) -> set[str]:
    return {identifier for identifier in ids if is_sampled(identifier, fraction, salt)}


@given(prefix=st.text(), salt=st.text())
def test_five_percent_is_a_subset_of_ten_percent(prefix: str, salt: str) -> None:
    ids = [f"{prefix}{number}" for number in range(500)]
    smaller, larger = sample(ids, 0.05, salt), sample(ids, 0.1, salt)
    assert smaller < larger


@given(ids=IDS, salt=st.text(), fractions=st.tuples(FRACTIONS, FRACTIONS).map(sorted))
def test_a_smaller_sample_is_a_subset_of_a_larger_one(ids: list[str], salt: str, fractions: list[float]) -> None:
    assert sample(ids, fractions[0], salt) <= sample(ids, fractions[1], salt)


@given(ids=IDS, salt=st.text())
def test_a_fraction_of_one_takes_every_record(ids: list[str], salt: str) -> None:
    assert sample(ids, 1.0, salt) == set(ids)


@given(st.text(), st.text())
def test_the_hash_lies_from_0_to_below_1(salt: str, identifier: str) -> None:
    assert 0 <= unit_hash(salt, identifier) < 1


@pytest.mark.parametrize(
    ("salt", "identifier", "expected"),
    [("", "", 0.43048164923648), ("split-1", "PAT-00001", 0.38293551399785386), ("salt", "Ærø", 0.8128507071298365)],
)
def test_the_hash_is_the_same_on_every_machine(salt: str, identifier: str, expected: float) -> None:
    assert unit_hash(salt, identifier) == expected


def test_salt_and_identifier_do_not_run_into_each_other() -> None:
    assert unit_hash("ab", "c") != unit_hash("a", "bc")


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5])
def test_a_sample_is_as_large_as_it_was_asked_to_be(fraction: float) -> None:
    assert len(sample(MANY, fraction, "sampling-1")) / len(MANY) == pytest.approx(fraction, abs=0.01)


@pytest.mark.parametrize(("train", "val"), [(0.8, 0.1), (0.5, 0.25), (0.34, 0.33)])
def test_the_splits_are_as_large_as_the_settings_say(train: float, val: float) -> None:
    splits = [split_of(subject, train, val, "split-1") for subject in MANY]
    shares = {name: splits.count(name) / len(splits) for name in ("train", "val", "test")}
    assert shares == pytest.approx({"train": train, "val": val, "test": 1 - train - val}, abs=0.015)


def test_sampling_says_nothing_about_the_split() -> None:
    sampled = [identifier for identifier in MANY if is_sampled(identifier, 0.1, "sampling-1")]
    in_train = sum(split_of(identifier, 0.8, 0.1, "split-1") == "train" for identifier in sampled)
    assert in_train / len(sampled) == pytest.approx(0.8, abs=0.03)


def test_another_salt_draws_another_sample_and_another_split() -> None:
    assert sample(MANY, 0.1, "one") != sample(MANY, 0.1, "two")
    assert [split_of(who, 0.8, 0.1, "one") for who in MANY] != [split_of(who, 0.8, 0.1, "two") for who in MANY]


@pytest.mark.parametrize("subjects", [1, 2, 16])
def test_shards_hold_as_many_subjects_as_they_should_on_average(subjects: int) -> None:
    ends = sum(ends_shard(subject, subjects, "shards-1") for subject in MANY)
    assert len(MANY) / ends == pytest.approx(subjects, rel=0.1)
