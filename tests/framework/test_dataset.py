from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.records.dataset import MANIFEST_SCHEMA, ROW_FIELDS, Row, read_split, shards_in_order
from lineage.records.layout import MANIFEST, ROOT_KEY, SALT_KEY, SHARDS, Description, read_description
from lineage.records.merkle import Tree
from lineage.records.profile import Sums
from lineage.records.selection import ends_shard, split_of
from lineage.records.shard_cache import ShardCache
from lineage.records.sharding import write_dataset

from .rows import table_of

DESCRIPTION = Description(
    classes=["0", "ä"],
    image_size=8,
    background="white",
    further_pages="refuse",
    split_by="hash",
    channels=1,
    records={"train": 3, "val": 2, "test": 1},
    subjects={"train": 2, "val": 1, "test": 1},
)
FRAMEWORK = next(Path(__file__).parents[2].glob("*/lineage")).parent
SALT = "shards-1"
SUBJECTS = 3


Over = dict[str, bytes]  # other images, by record_id


class Painted:
    """Images that can be told from the ids of their records, but for those that were painted over."""

    settings = "painted"
    size = 0

    def __init__(self, ids: list[str], over: Over) -> None:
        self._ids, self._over = ids, over
        self.count = len(ids)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for start in range(0, self.count, 7):
            ids = self._ids[start : start + 7]
            yield pa.record_batch({"image": [self._over.get(each, image_of(each)) for each in ids]})

    def stored(self, rows: Sequence[Row], images: pa.Table) -> tuple[list[bytes], Sums]:
        found: list[bytes] = images["image"].to_pylist()
        assert found == [self._over.get(row.record_id, image_of(row.record_id)) for row in rows]
        return found, {}


def image_of(record_id: str) -> bytes:
    return f"the image of {record_id}".encode()


def row(record_id: str, subject_id: str) -> Row:
    return Row(subject_id, record_id, split_of(subject_id, 0.5, 0.25, "split-1"), record_id[-1:])


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    """Two to sixteen subjects of one record or more, in any order."""
    subjects = draw(st.lists(st.text(max_size=4), unique=True, min_size=2, max_size=16))
    owners = subjects + draw(st.lists(st.sampled_from(subjects), max_size=16))
    ids = draw(st.lists(st.text(max_size=4), unique=True, min_size=len(owners), max_size=len(owners)))
    return [row(record_id, subject_id) for record_id, subject_id in zip(ids, owners, strict=True)]


def many_rows() -> list[Row]:
    return [row(f"SCAN-{number:03d}", f"PAT-{number * 7 % 41:02d}") for number in range(100)]


def write(folder: Path, rows: list[Row], over: Over | None = None, subject_salt: str = "project-1") -> Path:
    ids = sorted(row.record_id for row in rows)[::-1]
    with TemporaryDirectory() as kept:
        write_dataset(
            folder,
            table_of(rows, ids),
            Painted(ids, over or {}),
            DESCRIPTION,
            subjects=SUBJECTS,
            salt=SALT,
            subject_salt=subject_salt,
            cache=ShardCache(Path(kept)),
        )
    return folder


def written(rows: list[Row], over: Over | None = None) -> dict[str, bytes]:
    """The dataset of `rows` as the bytes of its files by name."""
    with TemporaryDirectory() as scratch:
        folder = write(Path(scratch) / "dataset", rows, over)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def shards(rows: list[Row]) -> dict[str, bytes]:
    return {name: data for name, data in written(rows).items() if name.startswith(SHARDS)}


def subjects_in(shard: bytes) -> set[str]:
    return set(pq.read_table(pa.BufferReader(shard))["subject_id"].to_pylist())


@settings(max_examples=15)
@given(rows=some_rows(), data=st.data())
def test_the_order_of_the_records_does_not_change_a_byte(rows: list[Row], data: st.DataObject) -> None:
    assert written(rows) == written(data.draw(st.permutations(rows)))


@settings(max_examples=40)
@given(rows=some_rows(), data=st.data())
def test_removing_a_subject_rewrites_only_the_shards_it_fell_in(rows: list[Row], data: st.DataObject) -> None:
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
    rows = many_rows()
    before = shards(rows)
    assert len(before) > 5  # else there would be nothing to leave
    for subject in {row.subject_id for row in rows}:
        after = shards([row for row in rows if row.subject_id != subject])
        assert len(before.items() - after.items()) in {1, 2}


@settings(max_examples=25)
@given(some_rows())
def test_a_subject_is_in_one_shard(rows: list[Row]) -> None:
    found = [subject for shard in shards(rows).values() for subject in subjects_in(shard)]
    assert sorted(found) == sorted({row.subject_id for row in rows})


@settings(max_examples=25)
@given(some_rows())
def test_the_manifest_is_the_shards_in_order_without_the_images(rows: list[Row]) -> None:
    with TemporaryDirectory() as scratch:
        folder = write(Path(scratch) / "dataset", rows)
        tables = [pq.read_table(path) for path in shards_in_order(folder)]
        manifest = pq.read_table(folder / MANIFEST)
    everything = pa.concat_tables(tables)
    assert manifest.schema.names == [name for name in everything.schema.names if name != "image"]
    assert manifest.to_pylist() == everything.drop_columns(["image"]).to_pylist()
    assert [Row(**{name: found[name] for name in ROW_FIELDS}) for found in manifest.to_pylist()] == sorted(rows)
    assert everything["image"].to_pylist() == [image_of(row.record_id) for row in sorted(rows)]


def test_a_row_holds_the_hash_of_its_image(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", many_rows())
    for path in shards_in_order(folder):
        for row in pq.read_table(path).to_pylist():
            assert row["content_sha256"] == hashlib.sha256(row["image"]).hexdigest()


def test_a_shard_is_named_by_its_content() -> None:
    for name, data in shards(many_rows()).items():
        assert name == f"{SHARDS}/{hashlib.sha256(data).hexdigest()[:16]}.parquet"


def test_a_changed_image_changes_one_shard_and_the_manifest() -> None:
    rows = many_rows()
    before, after = written(rows), written(rows, {rows[-1].record_id: b"another image"})
    gone = {name for name in before if before[name] != after.get(name)}
    assert len(gone) == 2
    assert MANIFEST in gone


def test_the_manifest_holds_the_root_over_its_subjects(tmp_path: Path) -> None:
    manifest = pq.read_schema(write(tmp_path / "dataset", many_rows()) / MANIFEST)
    tree = Tree("project-1", {row.subject_id for row in many_rows()})
    assert manifest.metadata[ROOT_KEY].decode() == tree.root
    assert manifest.metadata[SALT_KEY].decode() == "project-1"
    assert manifest.equals(MANIFEST_SCHEMA, check_metadata=False)


def test_another_salt_of_the_subjects_changes_no_shard(tmp_path: Path) -> None:
    one = write(tmp_path / "one", many_rows())
    other = write(tmp_path / "other", many_rows(), subject_salt="project-2")
    assert [path.name for path in shards_in_order(one)] == [path.name for path in shards_in_order(other)]
    assert (one / MANIFEST).read_bytes() != (other / MANIFEST).read_bytes()


def test_a_split_is_read_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    rows = many_rows()
    folder = write(tmp_path / "dataset", rows[::-1])
    for split in ("train", "val", "test"):
        expected = [row for row in sorted(rows) if row.split == split]
        assert expected
        assert list(read_split(folder, split)) == [(image_of(row.record_id), row.label) for row in expected]


def test_a_split_is_read_without_pandas(tmp_path: Path) -> None:
    """pyarrow imports it in many of its functions; it would be a third of what a small training takes."""
    folder = write(tmp_path / "dataset", many_rows())
    read = "from lineage.records.dataset import read_split; print(len([*read_split(Path(sys.argv[1]), 'train')]) > 0)"
    code = f"import sys; from pathlib import Path; {read}; print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, folder], cwd=FRAMEWORK, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_the_description_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_description(write(tmp_path / "dataset", many_rows())) == DESCRIPTION
