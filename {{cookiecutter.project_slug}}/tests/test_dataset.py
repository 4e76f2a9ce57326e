from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project.data.dataset import (
    MANIFEST,
    SHARDS,
    Description,
    Record,
    read_description,
    read_split,
    shards_in_order,
)
from project.data.selection import ends_shard, split_of
from project.data.sharding import write_dataset
from project.errors import DataError

DESCRIPTION = Description(
    classes=["0", "ä"],
    image_size=8,
    channels=1,
    records={"train": 3, "val": 2, "test": 1},
    subjects={"train": 2, "val": 1, "test": 1},
)
SALT = "shards-1"
SUBJECTS = 3


def record(record_id: str, subject_id: str) -> Record:
    return Record(
        record_id=record_id,
        subject_id=subject_id,
        split=split_of(subject_id, 0.5, 0.25, "split-1"),
        label=record_id[-1:],
        image=f"the image of {record_id}".encode(),
    )


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Two to sixteen subjects of one record or more, in any order."""
    subjects = draw(st.lists(st.text(max_size=4), unique=True, min_size=2, max_size=16))
    owners = subjects + draw(st.lists(st.sampled_from(subjects), max_size=16))
    ids = draw(st.lists(st.text(max_size=4), unique=True, min_size=len(owners), max_size=len(owners)))
    return [record(record_id, subject_id) for record_id, subject_id in zip(ids, owners, strict=True)]


def many_records() -> list[Record]:
    return [record(f"SCAN-{number:03d}", f"PAT-{number * 7 % 41:02d}") for number in range(100)]


def write(folder: Path, rows: list[Record]) -> Path:
    write_dataset(folder, rows, DESCRIPTION, subjects=SUBJECTS, salt=SALT)
    return folder


def written(rows: list[Record]) -> dict[str, bytes]:
    """The dataset of `rows` as the bytes of its files by name."""
    with TemporaryDirectory() as scratch:
        folder = write(Path(scratch) / "dataset", rows)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def shards(rows: list[Record]) -> dict[str, bytes]:
    return {name: data for name, data in written(rows).items() if name.startswith(SHARDS)}


def subjects_in(shard: bytes) -> set[str]:
    return set(pq.read_table(pa.BufferReader(shard))["subject_id"].to_pylist())


@settings(max_examples=15)
@given(rows=records(), data=st.data())
def test_the_order_of_the_records_does_not_change_a_byte(rows: list[Record], data: st.DataObject) -> None:
    assert written(rows) == written(data.draw(st.permutations(rows)))


@settings(max_examples=40)
@given(rows=records(), data=st.data())
def test_removing_a_subject_rewrites_only_the_shards_it_fell_in(rows: list[Record], data: st.DataObject) -> None:
    subject = data.draw(st.sampled_from(rows)).subject_id
    before, after = shards(rows), shards([row for row in rows if row.subject_id != subject])

    gone = {name for name in before if name not in after}
    new = {name for name in after if name not in before}
    assert {name for name in before if subject in subjects_in(before[name])} <= gone
    # where the subject ended a shard, the rest of that shard and the next one become one
    assert len(gone) <= (2 if ends_shard(subject, SUBJECTS, SALT) else 1)
    assert len(new) <= 1
    assert all(before[name] == after[name] for name in before.keys() - gone)


def test_removing_any_one_subject_of_many_leaves_nearly_all_shards() -> None:
    rows = many_records()
    before = shards(rows)
    assert len(before) > 5  # else there would be nothing to leave
    for subject in {row.subject_id for row in rows}:
        after = shards([row for row in rows if row.subject_id != subject])
        assert len(before.items() - after.items()) in {1, 2}


@settings(max_examples=25)
@given(records())
def test_a_subject_is_in_one_shard(rows: list[Record]) -> None:
    found = [subject for shard in shards(rows).values() for subject in subjects_in(shard)]
    assert sorted(found) == sorted({row.subject_id for row in rows})


@settings(max_examples=25)
@given(records())
def test_the_manifest_is_the_shards_in_order_without_the_images(rows: list[Record]) -> None:
    with TemporaryDirectory() as scratch:
        folder = write(Path(scratch) / "dataset", rows)
        tables = [pq.read_table(path) for path in shards_in_order(folder)]
        manifest = pq.read_table(folder / MANIFEST)
    everything = pa.concat_tables(tables)
    assert manifest.schema.names == [name for name in everything.schema.names if name != "image"]
    assert manifest.to_pylist() == everything.drop_columns(["image"]).to_pylist()
    assert everything.to_pylist() == [row.row() for row in sorted(rows, key=lambda r: (r.subject_id, r.record_id))]


def test_a_row_holds_the_hash_of_its_image(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", many_records())
    for path in shards_in_order(folder):
        for row in pq.read_table(path).to_pylist():
            assert row["content_sha256"] == hashlib.sha256(row["image"]).hexdigest()


def test_a_shard_is_named_by_its_content() -> None:
    for name, data in shards(many_records()).items():
        assert name == f"{SHARDS}/{hashlib.sha256(data).hexdigest()[:16]}.parquet"


def test_a_changed_image_changes_one_shard_and_the_manifest() -> None:
    rows = many_records()
    changed = [*rows[:-1], Record(**{**vars(rows[-1]), "image": b"another image"})]
    before, after = written(rows), written(changed)
    gone = {name for name in before if before[name] != after.get(name)}
    assert len(gone) == 2
    assert MANIFEST in gone


@pytest.mark.parametrize("other_subject", ["PAT-1", "PAT-2"])
def test_two_records_of_one_id_are_refused(tmp_path: Path, other_subject: str) -> None:
    rows = [record("SCAN-7", "PAT-1"), record("SCAN-8", "PAT-1"), record("SCAN-7", other_subject)]
    with pytest.raises(DataError, match="SCAN-7"):
        write(tmp_path / "dataset", rows)


def test_a_split_is_read_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    rows = many_records()
    folder = write(tmp_path / "dataset", rows[::-1])
    ordered = sorted(rows, key=lambda row: (row.subject_id, row.record_id))
    for split in ("train", "val", "test"):
        expected = [row for row in ordered if row.split == split]
        assert expected
        assert read_split(folder, split) == ([row.image for row in expected], [row.label for row in expected])


def test_the_description_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_description(write(tmp_path / "dataset", many_records())) == DESCRIPTION
