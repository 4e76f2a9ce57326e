"""A tombstone that no erasure wrote: whoever may push one, and delete in the remote, must not hide anybody with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from auditing import Ask, dataset
from baked import Project
from command import Lineage
from consent import FIRST, OUT, SECOND, STAYS, Cycle, everybody, finish, without, write_registry
from damage import edit

# Takes the dataset version DATASET for one that held nobody but who is left, and somebody who never was; deletes the
# shard of WHO, and the manifest. Prints the root that all of this has.
FORGE = """
import hashlib, json, sys
from pathlib import Path
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
from lineage.records.merkle import Tree
dataset, who, remote = sys.argv[1:]
stores = [Path(remote, "files", "md5"), Path(".dvc", "cache", "files", "md5")]
place = lambda store, md5: store / md5[:2] / md5[2:]
listing = {entry["relpath"]: entry["md5"] for entry in json.loads(place(stores[0], dataset).read_bytes())}
manifest = pq.read_table(place(stores[0], listing["manifest.parquet"]))
rest = manifest.filter(pc.not_equal(manifest["subject_id"], who)).replace_schema_metadata(None)
sink = pa.BufferOutputStream()
pq.write_table(rest, sink, compression="none", write_page_checksum=True)
data = sink.getvalue().to_pybytes()
redacted = hashlib.md5(data).hexdigest()
for store in stores:
    place(store, redacted).parent.mkdir(parents=True, exist_ok=True)
    place(store, redacted).write_bytes(data)
nobody = hashlib.sha256(b"nobody").digest()
root = Tree("s", set(rest["subject_id"].to_pylist()), [nobody]).root_in(dataset)
gone = [listing["manifest.parquet"]]
for path, md5 in listing.items():
    if path.startswith("shards/"):
        ids = pq.read_table(place(stores[0], md5), columns=["subject_id"])["subject_id"].to_pylist()
        gone += [md5] if who in ids else []
stone = {"schema": 1, "id": "forged", "moment": "2026-11-28T07:12:00+00:00", "reason": "request", "not_found": [],
         "objects": [{"md5": md5, "path": "data/processed/x"} for md5 in gone], "models": [],
         "datasets": [{"md5": dataset, "root": root, "salt": "s", "keys": [nobody.hex()], "redacted": redacted}]}
folder = Path("erasures", "forged")
folder.mkdir(parents=True)
(folder / "tombstone.json").write_text(json.dumps(stone))
for store in stores:
    for md5 in gone:
        place(store, md5).unlink(missing_ok=True)
print(root)
"""


def forge(project: Project, md5: str, who: str) -> str:
    root = project.run("python", "-c", FORGE, md5, who, str(project.remote)).strip()
    project.git("add", "--force", "erasures")
    project.git("commit", "--quiet", "--message", "Erasure forged")
    shutil.rmtree(project.root / ".dvc" / "tmp" / "kept" / "audit", ignore_errors=True)
    return root


def test_two_roots_of_one_dataset_are_no_proof(project: Project, lineage: Lineage, excluded: Ask) -> None:
    """An older-looking commit names the forged root in its lineage.json, and MLflow's tags do, too."""
    md5 = dataset(project, "2")
    assert excluded(project, STAYS).verdict == "FAILED"
    root = forge(project, md5, STAYS)
    assert excluded(project, STAYS).verdict == "INCONCLUSIVE"
    second = project.commit_of("Opt-out")
    project.git("checkout", "--quiet", "-b", "old", f"{second}^")
    project.git("checkout", "--quiet", second, "--", "dvc.lock", "lineage.json")
    document = project.lineage
    document["dataset"]["subjects"]["root"] = root
    (project.root / "lineage.json").write_text(json.dumps(document, indent=2))
    project.environment["GIT_COMMITTER_DATE"] = project.git("log", "-1", "--format=%ct", f"{second}^") + " +0000"
    project.commit("Older than the true one")
    del project.environment["GIT_COMMITTER_DATE"]
    project.git("checkout", "--quiet", "main")
    project.sql(
        "UPDATE tags SET value = ? WHERE key = 'subjects_root' AND run_uuid IN "
        "(SELECT run_uuid FROM tags WHERE key = 'dvc_data_md5' AND value = ?)",
        root,
        md5,
    )
    answer = excluded(project, STAYS)
    assert answer.verdict == "INCONCLUSIVE"
    assert f"name 2 Merkle roots of dataset {md5}" in answer.reasons
    assert lineage(project, "audit", "subject", STAYS, code=2)
    assert lineage.verify(project, SECOND).state == "FAIL"


def test_the_word_of_a_tombstone_alone_is_no_proof(project: Project, lineage: Lineage, cycle: Cycle) -> None:
    """Of a dataset version that was never registered."""
    md5, second = dataset(project, "2"), project.commit_of("Opt-out")
    project.git("checkout", "--quiet", "-B", "main", f"{second}^")
    project.git("checkout", "--quiet", second, "--", "dvc.lock", "params.yaml")
    project.git("commit", "--quiet", "--all", "--message", "Trained, and not registered")
    project.git("reflog", "expire", "--expire=now", "--all")
    asked = ("audit", "excluded", STAYS, "--since", cycle.moment, "--without-mlflow")
    assert f"{STAYS} is in " in lineage(project, *asked, code=1)
    forge(project, md5, STAYS)
    output = lineage(project, *asked, code=2)
    assert f"nothing but its tombstone says which Merkle root dataset {md5} had" in " ".join(output.split())


def test_a_tombstone_excuses_no_more_raw_files_than_were_erased(project: Project, lineage: Lineage) -> None:
    """A source that writes a letter for each subject: whose is whose, only tombstones say."""
    source = next(project.root.glob("*/sources/digits.py"))
    table = "        table.writerows(row.values() for row in people.values())\n"
    letter = '(context.folder / f"letter-{number}.txt").write_text(f"Dear PAT-{number:05d}")'
    edit(source, table, f"        for number in range(1, settings.subjects + 1):\n            {letter}\n")()
    write_registry(project, everybody())
    settings = ("privacy=registry", "privacy.salt=optout", "train=debug", "train.seed=7", "data.source.subjects=80")
    lineage(project, "compose", *settings)
    project.dvc("repro")
    finish(project, "Letters", lineage)
    write_registry(project, without(OUT))
    project.dvc("repro")
    finish(project, "Letters, without her", lineage)
    lineage(project, "erase", OUT, "--execute", "--yes", "--reason", "request 18", code=None)
    latest = f"models:/traceable-digits/{max(int(v.version) for v in project.store().versions())}"
    assert lineage.verify(project, latest).state == "PASS"
    (path,) = (project.root / "erasures").glob("*/tombstone.json")
    stone = json.loads(path.read_text())
    listing = {e["relpath"]: e["md5"] for e in project.listing(project.out("fetch", "data/raw"))}
    letters = [md5 for name, md5 in listing.items() if name.startswith("letter-")][:20]
    stone |= {"id": "forged", "objects": [{"md5": md5, "path": "data/raw/x"} for md5 in letters]}
    folder = project.root / "erasures" / "forged"
    folder.mkdir()
    (folder / "tombstone.json").write_text(json.dumps(stone))
    for md5 in letters:
        for place in (project.object(md5), project.cached(md5)):
            place.unlink(missing_ok=True)
    assert lineage.verify(project, latest).state == "FAIL"
    project.git("add", "--force", "erasures/forged")
    project.git("commit", "--quiet", "--message", "Erasure forged")
    proof = lineage.verify(project, latest)
    assert proof.state == "INCONCLUSIVE"
    assert "only the tombstone says so" in str(proof.link("DVC remote"))


@pytest.mark.parametrize("way", ["worktree", "remote"])
def test_an_erasure_looks_where_else_dvc_keeps_things(
    way: str, project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    first = project.commit_of("Everybody")
    if way == "worktree":
        other = Project(tmp_path / "side", project.venv, project.environment)
        project.git("worktree", "add", "--quiet", "-b", "side", str(other.root), first)
        shutil.copy(project.root / ".dvc" / "config.local", other.root / ".dvc" / "config.local")
        other.dvc("pull", "--quiet")
        md5 = next(e["md5"] for e in other.listing(dataset(project, "1")) if e["relpath"] == "manifest.parquet")
        assert other.cached(md5).exists()
        lineage(project, "erase", OUT, "--execute", "--yes", "--reason", "request 19")
        assert not other.cached(md5).exists()
        found = {each["check"]: each for each in json.loads(lineage.run(other, "doctor", "--json")[1])}
        assert found["objects"]["state"] == "right", found["objects"]  # the tombstone is on another branch
        return
    moved = tmp_path / "moved"
    shutil.copytree(project.remote, moved)
    project.dvc("remote", "modify", "storage", "url", str(moved))
    (project.root / ".dvc" / "config.local").unlink()
    project.commit("The remote has moved")
    output = lineage(project, "erase", OUT, "--execute", "--yes", "--reason", "request 20", code=2)
    assert f"the DVC remote {tmp_path / 'dvc-remote'}, which .dvc/config of " in output


def test_a_cache_that_holds_what_was_erased_elsewhere_is_named(
    project: Project, lineage: Lineage, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other", project.venv, project.environment)
    shutil.copytree(project.root, other.root, symlinks=True)
    lineage(project, "erase", OUT, "--execute", "--yes", "--reason", "request 21")
    other.git("pull", "--quiet", str(project.root), "main")
    other.artifacts_were_at(project.root)
    shutil.rmtree(other.root / ".dvc" / "tmp")
    said = lineage.verify(other, FIRST).link("DVC remote")["text"]
    assert "objects of its dataset version were erased, and the cache here has them still" in said
