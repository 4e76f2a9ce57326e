"""A dataset version is compared row by row, some MB at a time, and the answer is that of comparing sets of rows."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.dvc.hashes import hash_path
from lineage.dvc.objects import Objects
from lineage.proof.dataset import compare_manifest
from lineage.proof.rows import batches
from lineage.records.dataset import MANIFEST_SCHEMA, SHARD_SCHEMA

from .conftest import ROOT

NAMES = MANIFEST_SCHEMA.names


class Lying(Objects):
    """The objects of a folder, each under its name in it. What of them is not in the cache is fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(SimpleNamespace())  # type: ignore[arg-type]
        self.folder = folder

    def listing(self, md5: str) -> dict[str, str]:  # type: ignore[override]  # there it is kept
        found = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.parquet")]
        return dict(zip(found, found, strict=True))

    def verified(self, md5: str, scratch: Path) -> Path:
        fetched = scratch / md5.replace("/", "-")
        fetched.write_bytes((self.folder / md5).read_bytes())
        return fetched


def row(record: str, subject: str = "P", split: str = "train", image: bytes = b"") -> dict[str, Any]:
    image = image or record.encode()
    sha256 = hashlib.sha256(image).hexdigest()
    return dict(zip(SHARD_SCHEMA.names, (record, subject, split, "0", sha256, image), strict=True))


def write(folder: Path, manifest: list[dict[str, Any]], *shards: list[dict[str, Any]]) -> Objects:
    (folder / "shards").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(manifest, MANIFEST_SCHEMA), folder / "manifest.parquet")
    for number, rows in enumerate(shards):
        pq.write_table(
            pa.Table.from_pylist(rows, SHARD_SCHEMA), folder / "shards" / f"{number}.parquet", compression="none"
        )
    return Lying(folder)


def by_sets(manifest: list[dict[str, Any]], *shards: list[dict[str, Any]]) -> list[str]:
    """What differs, by comparing sets of rows that are all in memory."""
    together = [each for rows in shards for each in rows]
    listed, stored = ({tuple(each[name] for name in NAMES) for each in rows} for rows in (manifest, together))
    faults = []
    for what, difference in (("not in the shards", listed - stored), ("not in the manifest", stored - listed)):
        if difference:
            ids = ", ".join(sorted(each[0] for each in difference)[:5])
            faults.append(f"{len(difference)} rows of dataset x are {what}: {ids}")
    if len(manifest) != len(together):
        faults.append(f"the manifest of x has {len(manifest)} rows, the shards have {len(together)}")
    return faults


some = st.builds(row, st.sampled_from("abcdefgh"), st.sampled_from("PQ"), st.sampled_from(("train", "test")))
many = st.lists(some, max_size=12)


@settings(max_examples=15)
@given(many, many, many)
def test_differences_are_those_of_sets_of_rows(
    tmp_path_factory: pytest.TempPathFactory, manifest: list[Any], first: list[Any], second: list[Any]
) -> None:
    objects = write(tmp_path_factory.mktemp("dataset") / "x", manifest, first, second)
    assert compare_manifest(objects, "x") == (len(manifest), by_sets(manifest, first, second))


def test_equal_rows_in_another_order_are_no_difference(tmp_path: Path) -> None:
    rows = [row(f"R{number}", f"P{number % 3}") for number in range(100)]
    assert compare_manifest(write(tmp_path / "x", rows, rows[50:], rows[:50][::-1]), "x") == (100, [])


def test_images_with_another_hash_are_named(tmp_path: Path) -> None:
    rows = [row(f"R{number}") for number in range(9)]
    others = [{**each, "image": b"another"} if each["record_id"] in ("R3", "R5") else each for each in rows]
    rows_of_manifest, faults = compare_manifest(write(tmp_path / "x", rows, others), "x")
    assert rows_of_manifest == 9
    assert faults == ["content_sha256 in shards/0.parquet is not that of the image of R3, R5"]


def test_a_shard_without_a_column_is_no_pass(tmp_path: Path) -> None:
    objects = write(tmp_path / "x", [row("R")], [row("R")])
    shard = tmp_path / "x" / "shards" / "0.parquet"
    pq.write_table(pq.read_table(shard).drop_columns(["split"]), shard)
    with pytest.raises(ValueError, match="no column split"):
        compare_manifest(objects, "x")


def test_rows_come_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    images = [bytes([number]) * 2**20 for number in range(40)]
    pq.write_table(pa.table({"image": images}), path, compression="none", use_dictionary=False)
    sizes = [batch.num_rows for batch in batches(path)]
    assert sum(sizes) == 40
    assert max(sizes) < 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read from /proc")
def test_a_large_shard_is_not_in_memory_at_once(tmp_path: Path) -> None:
    """But a page of it, of 1,024 images."""
    rows = [row(f"R{number:05d}", image=number.to_bytes(2, "big") * 2**12) for number in range(36_000)]
    write(tmp_path / "x", rows, rows)
    assert hash_path(tmp_path / "x").size > 290e6
    script = f"""
import pyarrow.parquet, numpy
from pathlib import Path
from lineage.dvc.places import Places
from lineage.dvc.objects import Objects
from lineage.proof import dataset
class Lying(Objects):
    def listing(self, md5): return {{name: name for name in ("manifest.parquet", "shards/0.parquet")}}
    def verified(self, md5, scratch): return Path({str(tmp_path / "x")!r}) / md5
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
assert dataset.compare_manifest(Lying(Places(Path())), "x") == (36_000, [])
print((peak() - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 150, "MiB"
