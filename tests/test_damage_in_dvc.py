"""Damage to what DVC holds: found, named, never passed over."""

from __future__ import annotations

import json
import shutil

import pytest
from baked import Project
from command import Lineage
from damage import OF_A_FILE, SECOND, WEIGHTS, flip, manifest, overwrite, run_artifact, shards


@pytest.mark.parametrize("damage", list(OF_A_FILE))
@pytest.mark.parametrize("kind", ["shard", "weights", "listing", "raw"])
def test_an_object_of_the_remote(damage: str, kind: str, project: Project, lineage: Lineage) -> None:
    raw = project.listing(project.out("fetch", "data/raw"))[0]["md5"]
    victims = {
        "shard": shards(project)[3],
        "weights": project.out("train", WEIGHTS),
        "listing": project.out("preprocess", "data/processed"),
        "raw": raw,
    }
    md5 = victims[kind]
    OF_A_FILE[damage](project.object(md5), project.object(shards(project)[5]))
    proof = lineage.verify(project, SECOND, "--rehash")
    assert proof.status == 1
    assert "DVC remote" in proof.not_passed
    assert md5[2:] in proof.not_passed["DVC remote"]
    shutil.rmtree(project.root / ".dvc" / "cache")  # what is left is the damaged one
    proof = lineage.verify(project, SECOND)
    assert proof.status in (1, 2)
    assert md5[2:] in proof.output


def test_a_spoofed_listing(project: Project, lineage: Lineage) -> None:
    """A listing that leaves a shard out, in the remote and in the cache, under the old name."""
    md5 = project.out("preprocess", "data/processed")
    entries = project.listing(md5)
    shorter = json.dumps([entry for entry in entries if entry["md5"] != shards(project)[0]]).encode()
    overwrite(project.object(md5), shorter)
    overwrite(project.cached(md5), shorter)
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert md5[2:] in proof.output


@pytest.mark.parametrize("part", ["manifest", "shard"])
def test_manifest_and_shards_that_differ(part: str, project: Project, lineage: Lineage) -> None:
    md5 = manifest(project) if part == "manifest" else shards(project)[0]
    for path in (project.object(md5), project.cached(md5)):
        overwrite(path, path.read_bytes().replace(b"SCAN-00", b"SCAN-99"))
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert {"DVC cache", "dataset"} <= set(proof.not_passed)
    assert md5 in proof.output


def test_a_manifest_that_never_was_the_shards(project: Project, lineage: Lineage) -> None:
    """Every hash is right, up to dvc.lock: only reading both shows it."""
    script = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq, pyarrow as pa
path = Path("data/processed/manifest.parquet")
table = pq.read_table(path)
rows = table.to_pylist()[1:]
path.chmod(0o644)
pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, compression="none")
"""
    project.run("python", "-c", script)
    project.dvc("commit", "--force", "preprocess")
    md5 = project.out("preprocess", "data/processed")
    check = (
        "from pathlib import Path; from lineage.dvc.objects import Objects; from lineage.dvc.places import Places; "
        "from lineage.proof.dataset import compare_manifest; "
        f"print(compare_manifest(Objects(Places(Path('.'))), '{md5}'))"
    )
    output = project.run("python", "-c", check)
    assert "1796" in output
    assert "1 rows" in output
    assert "not in the manifest" in output


def test_the_manifest_logged_with_the_run_altered(project: Project, lineage: Lineage) -> None:
    path = run_artifact(project, "manifest.parquet")
    overwrite(path, flip(path.read_bytes()))
    assert list(lineage.verify(project, SECOND).not_passed) == ["dataset"]


@pytest.mark.parametrize("damage", ["one bit flipped", "truncated", "made a folder", "swapped"])
def test_a_corrupted_cache(damage: str, project: Project, lineage: Lineage) -> None:
    weights = project.out("train", WEIGHTS)
    OF_A_FILE[damage](project.cached(weights), project.cached(shards(project)[5]))
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["DVC cache"]
    assert weights in proof.not_passed["DVC cache"]


def test_no_remote(project: Project, lineage: Lineage) -> None:
    (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = /nowhere/at/all\n")
    proof = lineage.verify(project, SECOND)
    assert proof.status in (1, 2)
    assert "DVC remote" in proof.not_passed
