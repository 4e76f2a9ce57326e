from __future__ import annotations

import pytest
from project.data.sources.split_folders import UNCLEAR, level_of_splits, split_named


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training Set", "train"),
        ("train2017", "train"),
        ("VALID", "val"),
        ("validation_data", "val"),
        ("dev", "val"),
        ("test-images", "test"),
        ("Testing", "test"),
        ("eval", UNCLEAR),
        ("trains", None),
        ("tested", None),
        ("cat", None),
        ("developer", None),
        ("", None),
    ],
)
def test_what_a_name_means(name: str, split: str | None) -> None:
    assert split_named(name) == split


@pytest.mark.parametrize(
    ("paths", "level"),
    [
        (["train/cat/a", "test/cat/b"], 0),
        (["train/a", "val/b"], 0),
        (["train/cat/a", "train/dog/b"], 0),  # nothing else is there
        (["train/a", "car/b"], None),  # a class
        (["train/a", "eval/b", "cat/c"], 0),
        (["cat/train/a", "dog/test/b"], 1),
        (["cat/train/a", "dog/b"], None),
        (["set/train/cat/a", "set/test/cat/b"], 1),
        (["cat/train", "cat/test"], None),  # files
        (["a", "b"], None),
        ([], None),
    ],
)
def test_where_the_folders_are(paths: list[str], level: int | None) -> None:
    assert level_of_splits([path.split("/") for path in paths]) == level
