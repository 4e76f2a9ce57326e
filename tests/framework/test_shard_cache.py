from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.base import hash_cache
from lineage.base.hash_cache import signature
from lineage.records import shard_cache
from lineage.records.dataset import Row
from lineage.records.images import encode
from lineage.records.layout import SHARDS, Description
from lineage.records.preparation import RawImages
from lineage.records.profile import Sums
from lineage.records.raw import RAW_SCHEMA, RECORDS
from lineage.records.selection import ends_shard
from lineage.records.shard_cache import ROOM, ShardCache
from lineage.records.sharding import cut, write_dataset
from lineage.settings.data import Image

from .rows import table_of

SMALL = Image(size=4, channels=1, background="white", further_pages="refuse")
DESCRIPTION = Description(
    classes=["no"],
    image_size=SMALL.size,
    channels=SMALL.channels,
    background=SMALL.background,
    further_pages=SMALL.further_pages,
    split_by="hash",
    records={},
    subjects={},
)
SUBJECTS = 3
SALT = "shards-1"


class Counted(RawImages):
    """Raw images, and the rows of each shard that they were asked for."""

    def __init__(self, file: Path, image: Image) -> None:
        super().__init__(file, image)
        self.built: list[list[Row]] = []

    def stored(self, rows: Sequence[Row], images: pa.Table) -> tuple[list[bytes], Sums]:
        self.built.append(list(rows))
        return super().stored(rows, images)


def many_rows() -> list[Row]:
    return sorted(Row(f"PAT-{number * 7 % 31:02d}", f"SCAN-{number:03d}", "train", "no") for number in range(62))


def raw_table(shades: dict[str, int] | None = None) -> pa.Table:
    """A raw record for each of the rows, in another order, all of one shade but for `shades`."""
    records = [
        {
            "record_id": row.record_id,
            "subject_id": row.subject_id,
            "label": row.label,
            "image": encode(np.full((1, 4, 4), (shades or {}).get(row.record_id, 7), dtype=np.uint8)),
        }
        for row in reversed(many_rows())
    ]
    return pa.Table.from_pylist(records, schema=RAW_SCHEMA)


def write(
    kept: Path, rows: list[Row], table: pa.Table | None = None, image: Image = SMALL
) -> tuple[dict[str, bytes], list[list[Row]]]:
    """The files of a dataset version by name, and the rows of each shard that was built for it."""
    cache, raw = ShardCache(kept), raw_table() if table is None else table
    with TemporaryDirectory() as scratch:
        folder, file = Path(scratch) / "dataset", Path(scratch) / RECORDS
        pq.write_table(raw, file)
        images, chosen = Counted(file, image), table_of(rows, raw["record_id"].to_pylist())
        write_dataset(
            folder, chosen, images, DESCRIPTION, subjects=SUBJECTS, salt=SALT, subject_salt="project-1", cache=cache
        )
        cache.tidy()
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}
        return {name: path.read_bytes() for name, path in files.items()}, images.built


def uncached(rows: list[Row], table: pa.Table | None = None, image: Image = SMALL) -> dict[str, bytes]:
    with TemporaryDirectory() as scratch:
        return write(Path(scratch), rows, table, image)[0]


def shards_of(rows: list[Row]) -> list[list[Row]]:
    ends = cut(table_of(sorted(rows), [row.record_id for row in rows]), SUBJECTS, SALT)
    return [sorted(rows)[start:end] for start, end in pairwise([0, *ends])]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A cache of the shards of all rows."""
    folder = tmp_path / "deep" / "kept"
    _, built = write(folder, many_rows())
    assert built == shards_of(many_rows())
    assert len(built) > 5
    return folder


def test_a_cache_is_made_where_there_is_none_and_holds_the_shards(kept: Path) -> None:
    shards = {data for name, data in uncached(many_rows()).items() if name.startswith(SHARDS)}
    assert {path.read_bytes() for path in kept.glob("*.parquet")} == shards
    beside = {path.with_suffix(".json") for path in kept.glob("*.parquet")}
    assert {*kept.iterdir()} == {*kept.glob("*.parquet"), *beside}


def test_the_same_rows_again_build_nothing(kept: Path) -> None:
    files, built = write(kept, many_rows()[::-1])
    assert built == []
    assert files == uncached(many_rows())


@pytest.mark.parametrize("subject", sorted({row.subject_id for row in many_rows()}))
def test_without_one_subject_only_the_shards_it_fell_in_are_built(kept: Path, subject: str) -> None:
    rest = [row for row in many_rows() if row.subject_id != subject]
    files, built = write(kept, rest)
    assert built == [shard for shard in shards_of(rest) if shard not in shards_of(many_rows())]
    assert len(built) <= 1
    before = shards_of(many_rows())
    [place] = [place for place, shard in enumerate(before) if subject in {row.subject_id for row in shard}]
    # where the subject ended a shard, the rest of that shard and the next one become one
    touched = before[place : place + (2 if ends_shard(subject, SUBJECTS, SALT) else 1)]
    assert {row for shard in built for row in shard} <= {row for shard in touched for row in shard}
    assert files == uncached(rest)


@settings(max_examples=10)
@given(versions=st.lists(st.sets(st.sampled_from(many_rows()), min_size=1), min_size=2, max_size=4))
def test_cached_and_uncached_writing_give_the_same_bytes(versions: list[set[Row]]) -> None:
    with TemporaryDirectory() as scratch:
        for rows in [*versions, *versions]:
            assert write(Path(scratch) / "kept", sorted(rows))[0] == uncached(sorted(rows))


@settings(max_examples=40)
@given(data=st.data())
def test_any_damage_to_a_kept_shard_is_mended(data: st.DataObject) -> None:
    rows = shards_of(many_rows())[0]
    with TemporaryDirectory() as scratch:
        kept = Path(scratch)
        whole, _ = write(kept, rows)
        path = data.draw(st.sampled_from(sorted(kept.iterdir())))  # the shard, or what was measured of it
        names = {entry.name for entry in kept.iterdir()}
        good = path.read_bytes()
        place = data.draw(st.integers(0, len(good) - 1))
        other = data.draw(st.integers(1, 255))
        altered = good[:place] + bytes([good[place] ^ other]) + good[place + 1 :]
        path.write_bytes(data.draw(st.sampled_from([altered, good[:place], good + good[: place + 1]])))
        assert write(kept, rows) == (whole, [rows])
        assert {entry.name for entry in kept.iterdir()} == names
        assert path.read_bytes() == good
        assert write(kept, rows) == (whole, [])


def test_a_shard_under_the_name_of_another_is_not_taken_for_it(kept: Path) -> None:
    one, other = sorted(kept.glob("*.parquet"))[:2]
    content = other.read_bytes()
    one.write_bytes(content)
    files, built = write(kept, many_rows())
    assert len(built) == 1
    assert files == uncached(many_rows())


def test_a_changed_raw_image_builds_the_shard_it_is_in(kept: Path) -> None:
    row = many_rows()[17]
    repainted = raw_table({row.record_id: 8})
    files, built = write(kept, many_rows(), repainted)
    assert built == [shard for shard in shards_of(many_rows()) if row in shard]
    assert files == uncached(many_rows(), repainted)
    assert write(kept, many_rows())[1] == []


def test_images_that_changed_places_build_their_shards(kept: Path) -> None:
    first = shards_of(many_rows())[0]
    one, other = first[0], first[1]
    write(kept, many_rows(), raw_table({one.record_id: 8, other.record_id: 9}))
    swapped = raw_table({one.record_id: 9, other.record_id: 8})
    files, built = write(kept, many_rows(), swapped)
    assert built == [first]
    assert files == uncached(many_rows(), swapped)


@pytest.mark.parametrize("change", [{"size": 5}, {"channels": 3}, {"background": "black"}, {"further_pages": "drop"}])
def test_other_image_settings_build_every_shard(kept: Path, change: dict[str, object]) -> None:
    image = SMALL.model_copy(update=change)
    files, built = write(kept, many_rows(), image=image)
    assert built == shards_of(many_rows())
    assert files == uncached(many_rows(), image=image)


@pytest.mark.parametrize("change", [{"split": "val"}, {"label": "yes"}])
def test_another_split_or_label_builds_the_shard_it_is_in(kept: Path, change: dict[str, Any]) -> None:
    rows = many_rows()
    rows[17] = replace(rows[17], **change)
    files, built = write(kept, rows)
    assert built == [shard for shard in shards_of(rows) if rows[17] in shard]
    assert files == uncached(rows)


def test_another_version_of_a_library_builds_every_shard(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_cache, "version", lambda name: f"{name} of tomorrow")
    assert write(kept, many_rows())[1] == shards_of(many_rows())


def test_other_code_builds_every_shard(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = Path(shard_cache.__file__).parent
    for name in shard_cache.CODE:
        (tmp_path / name).write_bytes((code / name).read_bytes())
    monkeypatch.setattr(shard_cache, "__file__", str(tmp_path / "shard_cache.py"))
    assert write(kept, many_rows())[1] == []
    (tmp_path / "images.py").write_bytes(b"# other code")
    assert write(kept, many_rows())[1] == shards_of(many_rows())


def test_what_was_just_used_is_kept_and_the_oldest_goes_where_there_is_much_more(kept: Path) -> None:
    needed = sum(path.stat().st_size for path in kept.iterdir())
    for age in range(10):
        for number in range(20):
            path = kept / f"{age}-{number}.parquet"
            path.write_bytes(bytes(needed // 20))
            os.utime(path, (1_700_000_000 - age * 1000 + number,) * 2)
    write(kept, many_rows())

    left = {path.name for path in kept.iterdir()}
    assert write(kept, many_rows())[1] == []
    others = sorted(name for name in left if len(name) < 100)
    assert 0.9 * ROOM * needed < sum((kept / name).stat().st_size for name in left) <= ROOM * needed
    assert {f"0-{number}.parquet" for number in range(20)} <= set(others)
    assert all(name.split("-")[0] in {"0", "1", "2"} for name in others)


def test_what_was_used_lately_stays_for_the_experiment_beside_this_one(kept: Path) -> None:
    lately = {path.name for path in kept.iterdir()}
    first, *_ = shards_of(many_rows())
    write(kept, first)
    assert lately <= {path.name for path in kept.iterdir()}


def test_little_more_than_was_needed_is_kept(kept: Path) -> None:
    before = {path.name for path in kept.iterdir()}
    half = [row for row in many_rows() if row.subject_id < "PAT-16"]
    write(kept, half)
    assert before <= {path.name for path in kept.iterdir()}


def test_an_old_shard_that_was_used_again_is_no_longer_old(kept: Path) -> None:
    for path in kept.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    first, *_ = shards_of(many_rows())
    write(kept, first)
    assert sum(path.stat().st_mtime > 1_000_000_000 for path in kept.iterdir()) == 2
    assert write(kept, first)[1] == []


def test_there_is_nothing_to_tidy_where_there_is_no_cache(tmp_path: Path) -> None:
    ShardCache(tmp_path / "kept").tidy()
    assert not (tmp_path / "kept").exists()


def test_what_a_kill_left_half_written_goes_with_the_oldest(kept: Path) -> None:
    needed = sum(path.stat().st_size for path in kept.iterdir())
    partial = kept / "0-0.parquet.1.partial"
    partial.write_bytes(bytes(ROOM * needed))
    os.utime(partial, (1_000_000_000, 1_000_000_000))
    write(kept, many_rows())
    assert not partial.exists()


@pytest.mark.parametrize("named", ["by its hash", "as before", "with a signature"])
def test_a_shard_that_was_put_there_is_not_used(kept: Path, named: str) -> None:
    """Of the right name and with one row more: what is in it is not what was asked for."""
    expected = uncached(many_rows())
    for path in list(kept.glob("*.parquet")):
        table = pq.read_table(path)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), sink, compression="none")
        data = sink.getvalue().to_pybytes()
        key, digest = path.name.partition("-")[0], hashlib.sha256(data).hexdigest()
        beside = path.with_suffix(".json").read_bytes()
        signed = f"{key}-{signature('shard', key, digest, hashlib.sha256(beside).hexdigest())}.parquet"
        name = {"by its hash": f"{key}-{digest}.parquet", "as before": path.name}.get(named, signed)
        path.unlink()
        (kept / name).write_bytes(data)
        (kept / name).with_suffix(".json").write_bytes(beside)
    files, built = write(kept, many_rows())
    assert files == expected
    assert built == shards_of(many_rows())


def test_a_shard_of_another_user_is_not_used(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    hash_cache._key.cache_clear()
    files, built = write(kept, many_rows())
    hash_cache._key.cache_clear()
    assert files == uncached(many_rows())
    assert built == shards_of(many_rows())
    assert (tmp_path / "other" / "lineage" / "notes.key").stat().st_mode & 0o077 == 0
