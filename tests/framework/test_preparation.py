from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scans.settings import Data

from lineage.base.errors import DataError
from lineage.records.consent import active
from lineage.records.dataset import Row, rows_of
from lineage.records.images import decode, encode
from lineage.records.preparation import RawImages, absent_classes, choose, left_out
from lineage.records.raw import RAW_SCHEMA, RECORDS
from lineage.settings.data import Image

PIXELS = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)


def records() -> list[dict[str, Any]]:
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
        "image": {"size": 8, "channels": 1, "background": "white", "further_pages": "refuse"},
    }
    return Data.model_validate(params["data"] | fixed)


def changed(settings: Data, **values: Any) -> Data:
    return Data.model_validate(settings.model_dump() | values)


def as_table(raw: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(raw, schema=RAW_SCHEMA)


def chosen(raw: list[dict[str, Any]], settings: Data, consented: frozenset[str] | None = None) -> list[Row]:
    return sorted(rows_of(choose(as_table(raw), settings, consented)[0]))


def relabelled(record_id: str) -> list[dict[str, Any]]:
    """The records, of which one is the only one of its class."""
    return [{**record, "label": "rare"} if record["record_id"] == record_id else record for record in records()]


def test_removing_a_subject_changes_no_other_record(settings: Data) -> None:
    half = changed(settings, fraction=0.5)
    everything = chosen(records(), half)
    assert 0 < len(everything) < len(records())
    for subject in [f"PAT-{number:02d}" for number in range(0, 60, 7)]:
        without = chosen([record for record in records() if record["subject_id"] != subject], half)
        assert without == [row for row in everything if row.subject_id != subject]


def test_the_order_of_the_raw_records_changes_nothing(settings: Data) -> None:
    rows, description = choose(as_table(records()), settings, None)
    others, same = choose(as_table(records()[::-1]), settings, None)
    assert sorted(rows_of(rows)) == sorted(rows_of(others))
    assert description == same


def test_a_smaller_fraction_takes_some_of_the_same_records(settings: Data) -> None:
    larger = chosen(records(), changed(settings, fraction=0.8))
    smaller = chosen(records(), changed(settings, fraction=0.4))
    assert len(smaller) < len(larger)
    assert all(row in larger for row in smaller)


def test_a_subject_is_in_one_split(settings: Data) -> None:
    pairs = {(row.subject_id, row.split) for row in chosen(records(), settings)}
    assert len(pairs) == 60
    assert {split for _, split in pairs} == {"train", "val", "test"}


def stored(folder: Path, raw: list[dict[str, Any]], rows: list[Row], image: Image) -> list[bytes]:
    """The images of these rows as a shard holds them."""
    pq.write_table(as_table(raw), folder / RECORDS)
    images = RawImages(folder / RECORDS, image)
    places = [next(place for place, each in enumerate(raw) if each["record_id"] == row.record_id) for row in rows]
    files, _ = images.stored(rows, pa.Table.from_batches(images.batches()).take(places))
    return files


def test_images_come_out_at_the_size_and_in_the_channels_of_the_settings(settings: Data, tmp_path: Path) -> None:
    image = settings.image.model_copy(update={"size": 16, "channels": 3})
    [png] = stored(tmp_path, records(), chosen(records(), settings)[:1], image)
    assert decode(png, 16, 3).shape == (3, 16, 16)
    assert len(png) > 3 * 16 * 16  # the PNG itself, not only what decode makes of it


def test_an_image_that_fits_already_keeps_its_pixels(settings: Data, tmp_path: Path) -> None:
    [png] = stored(tmp_path, records(), chosen(records(), settings)[:1], settings.image)
    assert (decode(png, 8, 1) == PIXELS).all()


def test_every_row_gets_its_own_image(settings: Data, tmp_path: Path) -> None:
    raw = [{**record, "image": encode(PIXELS + number % 100)} for number, record in enumerate(records())]
    rows = chosen(raw, settings)[::3]
    shades = [int(decode(image, 8, 1)[0, 0, 0]) for image in stored(tmp_path, raw, rows, settings.image)]
    assert shades == [int(row.record_id.removeprefix("SCAN-")) % 100 for row in rows]


def test_the_description_counts_what_is_there(settings: Data) -> None:
    rows, description = choose(as_table(records()), settings, None)
    assert description.classes == ["no", "yes"]
    assert (description.image_size, description.channels) == (8, 1)
    assert sum(description.records.values()) == len(rows) == 300
    assert sum(description.subjects.values()) == 60
    assert description.records["test"] == sum(row.split == "test" for row in rows_of(rows))


def test_only_subjects_who_consented_are_chosen_and_nothing_else_changes(settings: Data) -> None:
    consented = frozenset(f"PAT-{number:02d}" for number in range(0, 60, 2)) | {"PAT-unknown"}
    everyone = chosen(records(), settings)
    assert chosen(records(), settings, consented) == [row for row in everyone if row.subject_id in consented]


def test_nobody_is_chosen_where_nobody_consented(settings: Data) -> None:
    with pytest.raises(DataError, match="is empty"):
        chosen(records(), settings, frozenset())


def test_who_is_left_out_is_counted_by_why() -> None:
    statuses = {f"PAT-{number:02d}": "active" for number in range(50)} | {"PAT-07": "revoked", "PAT-unknown": "revoked"}
    assert left_out(as_table(records()), statuses, active(statuses)) == {
        "left_out_records": 55,
        "left_out_subjects_revoked": 1,
        "left_out_subjects_unlisted": 10,
    }


@pytest.mark.parametrize("subject", ["PAT-07", "PAT-08"])
def test_two_records_of_one_id_are_refused(settings: Data, subject: str) -> None:
    again = {**records()[7], "subject_id": subject}
    with pytest.raises(DataError, match="SCAN-007"):
        chosen([*records(), again], settings)


def test_an_empty_split_is_refused(settings: Data) -> None:
    one_subject = [{**record, "subject_id": "PAT-00"} for record in records()]
    with pytest.raises(DataError, match="is empty"):
        chosen(one_subject, settings)


def test_a_class_that_is_missing_from_train_is_refused(settings: Data) -> None:
    in_test = next(row for row in chosen(records(), settings) if row.split == "test")
    rare = relabelled(in_test.record_id)
    with pytest.raises(DataError, match="class rare is in train"):
        chosen(rare, settings)


def test_one_class_alone_is_refused(settings: Data) -> None:
    with pytest.raises(DataError, match="all records are of one class, 'no'"):
        chosen([{**record, "label": "no"} for record in records()], settings)


def test_a_class_that_is_missing_elsewhere_is_told_apart(settings: Data) -> None:
    in_train = next(row for row in chosen(records(), settings) if row.split == "train")
    rows, _ = choose(as_table(relabelled(in_train.record_id)), settings, None)
    absent = absent_classes(rows, ["no", "rare", "yes"])
    assert absent == {"train": [], "val": ["rare"], "test": ["rare"]}


def named(no: str, yes: str) -> list[dict[str, Any]]:
    return [{**record, "label": yes if record["label"] == "yes" else no} for record in records()]


@pytest.mark.parametrize(
    ("no", "yes"), [("Cat", "cat"), ("two_words", "Two words"), ("x-ray", "X ray"), ("STRASSE", "straße"), ("m2", "m²")]
)
def test_classes_that_are_called_alike_are_refused_or_kept(settings: Data, no: str, yes: str) -> None:
    with pytest.raises(DataError, match=r"classes are called alike: '.+' \([0-9]+ records\) and '.+'"):
        chosen(named(no, yes), settings)
    assert len(chosen(named(no, yes), changed(settings, alike_classes="keep"))) == 300


@pytest.mark.parametrize(("no", "yes"), [("A+", "A-"), ("+", "-"), ("cat", "cats"), ("1", "10"), ("a", "ä")])
def test_classes_that_are_called_otherwise_are_two(settings: Data, no: str, yes: str) -> None:
    assert len(chosen(named(no, yes), settings)) == 300


def divided(split_of_subject: Any) -> pa.Table:
    """The records, from a source that decides the splits."""
    table = as_table(records())
    return table.append_column("split", pa.array([split_of_subject(who) for who in table["subject_id"].to_pylist()]))


def test_a_source_may_decide_the_splits(settings: Data) -> None:
    rule = {"0": "val", "1": "test"}
    table = divided(lambda subject: rule.get(subject[-1], "train"))
    rows, description = choose(table, settings, None)
    assert all(row.split == rule.get(row.subject_id[-1], "train") for row in rows_of(rows))
    assert description.split_by == "source"
    assert choose(table, changed(settings, split={**settings.split.model_dump(), "salt": "x"}), None)[0].equals(rows)


def test_splits_of_a_source_that_cannot_be_right(settings: Data) -> None:
    with pytest.raises(DataError, match="the split 'later', which is not train, val or test"):
        choose(divided(lambda _: "later"), settings, None)
    with pytest.raises(DataError, match="the split 'val' is empty: the source"):
        choose(divided(lambda subject: "test" if subject[-1] == "1" else "train"), settings, None)
    alternating = iter(["train", "val", "test", "train", "train", "val", "test"] * 50)
    with pytest.raises(DataError, match="a subject is in one split"):
        choose(divided(lambda _: next(alternating)), settings, None)


def test_subjects_are_brought_together_where_asked_for(settings: Data) -> None:
    rows = chosen(records(), settings)
    subject = next(row.subject_id for row in rows if row.split == "test")
    together = changed(settings, duplicates="together")
    table, description = choose(as_table(records()), together, None, (), {subject: "val"})
    moved = sorted(rows_of(table))
    assert {row.split for row in moved if row.subject_id == subject} == {"val"}
    assert [row for row in moved if row.subject_id != subject] == [row for row in rows if row.subject_id != subject]
    assert description.split_by == "hash, duplicates together"
