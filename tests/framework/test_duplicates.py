from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from lineage.records.duplicates import find_duplicates, splits_together
from lineage.records.selection import split_of
from lineage.settings.data import Split

SPLIT = Split(train=0.6, val=0.2, test=0.2, salt="split-1")
ORDER = ["train", "val", "test"]


def record(subject: str, image: str, label: str = "cat", number: int = 0) -> dict[str, Any]:
    split = split_of(subject, SPLIT.train, SPLIT.val, SPLIT.salt)
    name = f"{subject}/{number}"
    return {"record_id": name, "subject_id": subject, "split": split, "label": label, "content_sha256": image}


def found(records: list[dict[str, Any]]) -> Any:
    return find_duplicates(pa.Table.from_pylist(records))


def by_split() -> dict[str, list[str]]:
    """Subjects that their own hash brings into each split."""
    names = [f"PAT-{number}" for number in range(60)]
    return {split: [name for name in names if record(name, "")["split"] == split] for split in ORDER}


def test_different_images_are_no_duplicates() -> None:
    duplicates = found([record(f"PAT-{number}", str(number)) for number in range(9)])
    assert duplicates.groups == []
    assert set(duplicates.counts.values()) == {0}


def test_what_is_there_twice_is_counted_and_named_the_worst_first() -> None:
    subjects = by_split()
    train, test = subjects["train"], subjects["test"]
    records = [
        record(train[0], "harmless"),
        record(train[1], "harmless"),
        record(train[2], "harmless"),
        record(train[3], "contradiction"),
        record(train[4], "contradiction", "dog"),
        record(train[5], "leak"),
        record(test[0], "leak"),
        record(test[1], "alone"),
    ]
    duplicates = found(records)
    assert duplicates.counts == {
        "duplicate_records": 4,
        "duplicates_across_splits": 1,
        "duplicates_across_labels": 1,
    }
    said = str(duplicates)
    assert said.startswith("7 records share 3 images with another record; 1 in two splits; 1 under two labels: ")
    places = [said.index(f"{name}/0'") for name in (train[5], train[3], train[0])]
    assert places == sorted(places)


def test_those_who_share_an_image_come_into_the_split_of_the_smallest_hash() -> None:
    subjects = by_split()
    for one in ORDER:
        for other in ORDER:
            pair = [record(subjects[one][0], "same"), record(subjects[other][-1], "same")]
            expected = min(one, other, key=ORDER.index)
            assert set(splits_together([pair], SPLIT).values()) == {expected}


def test_companies_are_joined_and_others_stay() -> None:
    subjects = by_split()
    train, val, test = subjects["train"], subjects["val"], subjects["test"]
    chain = [[record(test[0], "a"), record(val[0], "a")], [record(test[1], "b"), record(val[0], "b", number=1)]]
    assert splits_together(chain, SPLIT) == {test[0]: "val", test[1]: "val", val[0]: "val"}
    joined = [*chain, [record(train[0], "c"), record(test[1], "c", number=1)], [record(test[2], "d", number=2)] * 2]
    moved = splits_together(joined, SPLIT)
    assert moved.pop(test[2]) == "test"
    assert set(moved.values()) == {"train"}
    assert len(moved) == 4


@pytest.mark.parametrize("turn", [1, -1])
def test_the_order_of_the_records_changes_nothing(turn: int) -> None:
    subjects = by_split()
    names = [*subjects["test"][:6], *subjects["val"][:6], *subjects["train"][:2]]
    groups = [[record(one, "x"), record(other, "x")] for one, other in zip(names, names[2:], strict=False)]
    assert splits_together(groups[::turn], SPLIT) == splits_together(groups, SPLIT)
    assert set(splits_together(groups[::turn], SPLIT).values()) == {"train"}
