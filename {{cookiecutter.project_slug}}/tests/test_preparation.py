from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project.data.dataset import Record
from project.data.images import decode, encode
from project.data.preparation import prepare
from project.data.raw import RAW_SCHEMA, RECORDS
from project.errors import DataError
from project.settings import Data

PIXELS = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)


def rows() -> list[dict[str, Any]]:
    """300 records of 60 subjects, in two classes of which every subject has some."""
    image = encode(PIXELS)
    return [
        {
            "record_id": f"SCAN-{number:03d}",
            "subject_id": f"PAT-{number % 60:02d}",
            "label": "yes" if number // 60 % 2 else "no",
            "image": image,
        }
        for number in range(300)
    ]


@pytest.fixture
def settings(params: dict[str, Any]) -> Data:
    fixed = {
        "fraction": 1.0,
        "sampling": {"salt": "sampling-1"},
        "split": {"train": 0.6, "val": 0.2, "test": 0.2, "salt": "split-1"},
        "image": {"size": 8, "channels": 1},
    }
    return Data.model_validate(params["data"] | fixed)


def changed(settings: Data, **values: Any) -> Data:
    return Data.model_validate(settings.model_dump() | values)


def prepared(folder: Path, raw: list[dict[str, Any]], settings: Data) -> list[Record]:
    pq.write_table(pa.Table.from_pylist(raw, schema=RAW_SCHEMA), folder / RECORDS)
    return prepare(folder, settings)[0]


def test_removing_a_subject_changes_no_other_record(tmp_path: Path, settings: Data) -> None:
    half = changed(settings, fraction=0.5)
    everything = prepared(tmp_path, rows(), half)
    assert 0 < len(everything) < len(rows())
    for subject in [f"PAT-{number:02d}" for number in range(0, 60, 7)]:
        without = prepared(tmp_path, [row for row in rows() if row["subject_id"] != subject], half)
        assert without == [record for record in everything if record.subject_id != subject]


def test_the_order_of_the_raw_records_changes_nothing_but_the_order(tmp_path: Path, settings: Data) -> None:
    def by_id(record: Record) -> str:
        return record.record_id

    forwards, backwards = prepared(tmp_path, rows(), settings), prepared(tmp_path, rows()[::-1], settings)
    assert sorted(forwards, key=by_id) == sorted(backwards, key=by_id)


def test_a_smaller_fraction_takes_some_of_the_same_records(tmp_path: Path, settings: Data) -> None:
    larger = prepared(tmp_path, rows(), changed(settings, fraction=0.8))
    smaller = prepared(tmp_path, rows(), changed(settings, fraction=0.4))
    assert len(smaller) < len(larger)
    assert all(record in larger for record in smaller)


def test_a_subject_is_in_one_split(tmp_path: Path, settings: Data) -> None:
    pairs = {(record.subject_id, record.split) for record in prepared(tmp_path, rows(), settings)}
    assert len(pairs) == 60
    assert {split for _, split in pairs} == {"train", "val", "test"}


def test_images_come_out_at_the_size_and_in_the_channels_of_the_settings(tmp_path: Path, settings: Data) -> None:
    records = prepared(tmp_path, rows(), changed(settings, image={"size": 16, "channels": 3}))
    assert decode(records[0].image, 16, 3).shape == (3, 16, 16)
    assert len(records[0].image) > 3 * 16 * 16  # the PNG itself, not only what decode makes of it


def test_an_image_that_fits_already_keeps_its_pixels(tmp_path: Path, settings: Data) -> None:
    records = prepared(tmp_path, rows(), settings)
    assert (decode(records[0].image, 8, 1) == PIXELS).all()


def test_the_description_counts_what_is_there(tmp_path: Path, settings: Data) -> None:
    records = prepared(tmp_path, rows(), settings)
    description = prepare(tmp_path, settings)[1]
    assert description.classes == ["no", "yes"]
    assert sum(description.records.values()) == len(records) == 300
    assert sum(description.subjects.values()) == 60
    assert description.records["test"] == sum(record.split == "test" for record in records)


def test_an_empty_split_is_refused(tmp_path: Path, settings: Data) -> None:
    one_subject = [{**row, "subject_id": "PAT-00"} for row in rows()]
    with pytest.raises(DataError, match="is empty"):
        prepared(tmp_path, one_subject, settings)


def test_a_class_that_is_missing_from_train_is_refused(tmp_path: Path, settings: Data) -> None:
    in_test = next(record for record in prepared(tmp_path, rows(), settings) if record.split == "test")
    rare = [{**row, "label": "rare"} if row["record_id"] == in_test.record_id else row for row in rows()]
    with pytest.raises(DataError, match="class rare is in train"):
        prepared(tmp_path, rare, settings)


def test_a_class_that_is_missing_elsewhere_is_warned_of(tmp_path: Path, settings: Data) -> None:
    in_train = next(record for record in prepared(tmp_path, rows(), settings) if record.split == "train")
    rare = [{**row, "label": "rare"} if row["record_id"] == in_train.record_id else row for row in rows()]
    with pytest.warns(UserWarning, match="class rare is in (val|test)"):
        prepared(tmp_path, rare, settings)
