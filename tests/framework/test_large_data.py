"""Data that do not fit in memory at once: parts of them in turn, by several processes, give the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.base.errors import UnreadableImagesError
from lineage.records import sharding
from lineage.records.dataset import Row
from lineage.records.layout import Description
from lineage.records.preparation import BATCH, RawImages
from lineage.records.profile import Sums
from lineage.records.raw import RAW_SCHEMA, RECORDS
from lineage.records.shard_cache import ShardCache
from lineage.records.sharding import write_dataset
from lineage.records.spool import ends_of_parts
from lineage.settings.data import Image

from .rows import table_of

DESCRIPTION = Description(
    classes=["no"],
    image_size=8,
    channels=1,
    background="white",
    further_pages="refuse",
    split_by="hash",
    records={},
    subjects={},
)
ROWS = [Row(f"PAT-{number * 7 % 41:02d}", f"SCAN-{number:03d}", "train", "no") for number in range(300)]
IDS = sorted(row.record_id for row in ROWS)[::-1]


class Large:
    """Images of which each says that it has a kilobyte."""

    settings = "large"
    count = len(IDS)
    size = 1024 * len(IDS)

    def __init__(self, unreadable: frozenset[str] = frozenset()) -> None:
        self._unreadable = unreadable

    def batches(self) -> Iterator[pa.RecordBatch]:
        for start in range(0, self.count, 16):
            yield pa.record_batch({"image": [f"image of {each}".encode() for each in IDS[start : start + 16]]})

    def stored(self, rows: Sequence[Row], images: pa.Table) -> tuple[list[bytes], Sums]:
        if reasons := {row.record_id: "broken" for row in rows if row.record_id in self._unreadable}:
            raise UnreadableImagesError(reasons)
        found: list[bytes] = images["image"].to_pylist()
        assert found == [f"image of {row.record_id}".encode() for row in rows]
        return found, {"train": {"totals": [len(found)]}}


def write(folder: Path, images: Large | None = None) -> dict[str, bytes]:
    """The files of a dataset version; every image of it was measured."""
    dataset, cache = folder / "dataset", ShardCache(folder / "kept")
    sums = write_dataset(
        dataset,
        table_of(ROWS, IDS),
        images or Large(),
        DESCRIPTION,
        subjects=3,
        salt="shards-1",
        subject_salt="project-1",
        cache=cache,
    )
    cache.tidy()
    assert sums == {"train": {"totals": [len(ROWS)]}}
    return {path.relative_to(dataset).as_posix(): path.read_bytes() for path in dataset.rglob("*") if path.is_file()}


def test_parts_and_processes_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write(tmp_path / "whole")
    assert len(whole) > 10
    monkeypatch.setattr(sharding, "MEMORY", 64 * 1024)
    for processes in (1, 3):
        monkeypatch.setattr(sharding, "processors", lambda number=processes: number)
        assert write(tmp_path / str(processes)) == whole
        assert write(tmp_path / "again" / str(processes)) == whole


def test_the_cache_serves_what_other_processes_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "MEMORY", 64 * 1024)
    monkeypatch.setattr(sharding, "processors", lambda: 2)
    whole = write(tmp_path)
    kept = {path: path.stat().st_ino for path in (tmp_path / "kept").iterdir()}
    (tmp_path / "dataset").rename(tmp_path / "before")
    assert write(tmp_path) == whole
    assert {path: path.stat().st_ino for path in (tmp_path / "kept").iterdir()} == kept


def test_every_unreadable_image_of_all_parts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "MEMORY", 64 * 1024)
    monkeypatch.setattr(sharding, "processors", lambda: 2)
    broken = frozenset({IDS[0], IDS[100], IDS[-1]})
    with pytest.raises(UnreadableImagesError) as caught:
        write(tmp_path, Large(broken))
    assert caught.value.reasons.keys() == broken
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize(
    ("ends", "size", "most", "expected"),
    [
        ([3, 5, 9, 12], 120, 1000, [12]),
        ([3, 5, 9, 12], 120, 40, [5, 9, 12]),
        ([3, 5, 9, 12], 120, 1, [3, 5, 9, 12]),
        ([12], 120, 1, [12]),
    ],
)
def test_parts_end_where_shards_do(ends: list[int], size: int, most: int, expected: list[int]) -> None:
    assert ends_of_parts(ends, size, most) == expected


def test_raw_images_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    file, image = tmp_path / RECORDS, Image(size=8, channels=1, background="white", further_pages="refuse")
    with pq.ParquetWriter(file, RAW_SCHEMA, compression="none") as writer:
        for number in range(64):
            row = {"record_id": str(number), "subject_id": "one", "label": "no", "image": bytes(2**20)}
            writer.write_table(pa.Table.from_pylist([row], schema=RAW_SCHEMA))
    before, seen, most = pa.total_allocated_bytes(), 0, 0
    for batch in RawImages(file, image).batches():
        seen, most = seen + batch.num_rows, max(most, pa.total_allocated_bytes() - before)
    assert seen == 64
    assert most < 3 * BATCH


SLOW = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from framework import test_large_data as here

class Slow(here.Large):
    def stored(self, rows, images):
        Path({folder!r}, "begun").touch()
        time.sleep(600)

if __name__ == "__main__":
    here.sharding.MEMORY = 64 * 1024
    here.sharding.processors = lambda: 2
    here.write(Path({folder!r}), Slow())
"""


def test_a_kill_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW.format(path=sys.path, folder=str(tmp_path)))
    process = subprocess.Popen([sys.executable, str(script)])
    family: list[psutil.Process] = []
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        family = psutil.Process(process.pid).children(recursive=True)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
