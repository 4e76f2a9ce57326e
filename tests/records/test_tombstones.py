"""A tombstone excuses what an erasure has deleted, and nothing else, whoever wrote it into Git."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from baked import Project
from command import Lineage
from consent import FIRST, OUT, SECOND, UNLISTED, everybody, write_registry
from damage import WEIGHTS, put

Lie = Callable[[Project, dict[str, Any]], list[str]]
DATASET, PREDICTIONS = "data/processed", "data/predictions.parquet"


def dataset(project: Project, number: str) -> str:
    return project.version_tags(number)["dvc_data_md5"]


def shards(project: Project, number: str) -> list[str]:
    """The shards of a version's dataset that are still in the remote."""
    listing = project.listing(dataset(project, number))
    named = [entry["md5"] for entry in listing if entry["relpath"].startswith("shards/")]
    return [md5 for md5 in named if project.object(md5).exists()]


def name(document: dict[str, Any], *objects: str, path: str = f"{DATASET}/shards/x.parquet") -> list[str]:
    """Lets the tombstone name other objects than it did."""
    document["objects"] = [{"md5": md5, "path": path} for md5 in objects]
    return list(objects)


def weights(project: Project, document: dict[str, Any]) -> list[str]:
    document["datasets"] = []
    return name(document, project.version_tags("1")["dvc_model_md5"], path=WEIGHTS)


def weights_called_a_shard(project: Project, document: dict[str, Any]) -> list[str]:
    return name(document, project.version_tags("1")["dvc_model_md5"])


def consent(project: Project, document: dict[str, Any]) -> list[str]:
    return name(document, project.store().client.get_run(run(project)).data.tags["dvc_consent_md5"])


def run(project: Project) -> str:
    return project.version_tags("1")["training_run_id"]


def predictions(project: Project, document: dict[str, Any]) -> list[str]:
    """About the test split, in which they never were."""
    lock = yaml.safe_load(project.git("show", f"{project.commit_of('Everybody')}:dvc.lock"))
    outs = {out["path"]: out["md5"] for out in lock["stages"]["evaluate"]["outs"]}
    return name(document, outs[PREDICTIONS], path=PREDICTIONS)


def listing(project: Project, document: dict[str, Any]) -> list[str]:
    return name(document, dataset(project, "1"))


def a_shard_without_them(project: Project, document: dict[str, Any]) -> list[str]:
    return name(document, shards(project, "1")[0])


def every_shard(project: Project, document: dict[str, Any]) -> list[str]:
    return name(document, *shards(project, "1"))


def another_dataset(project: Project, document: dict[str, Any]) -> list[str]:
    """A dataset version that never held them, with the hash of nobody, or of them under its salt."""
    document["datasets"][0] |= {"md5": dataset(project, "2")}
    return name(document, shards(project, "2")[0])


def of_somebody_else(project: Project, document: dict[str, Any], *, redact: bool) -> list[str]:
    """Somebody of the second version, whose shard is still there: another one is deleted in their name."""
    listed = project.listing(dataset(project, "2"))
    manifest = next(entry["md5"] for entry in listed if entry["relpath"] == "manifest.parquet")
    table = pq.read_table(project.cached(manifest))
    salt, root = (project.lineage["dataset"]["subjects"][name] for name in ("salt", "root"))
    (lost,) = set(shards(project, "2")) - set(shards(project, "1"))  # the first version shares the others
    other = next(shard for shard in shards(project, "2") if shard != lost)
    # whatever dvc.lock rests on is excused by nothing: it must be of the first version
    project.git("checkout", "--quiet", project.commit_of("Everybody"), "--", "dvc.lock")
    person = pq.read_table(project.cached(other))["subject_id"][0].as_py()
    key = hashlib.sha256(f"{len(salt)}:{salt}{person}".encode()).hexdigest()
    if redact:
        left = table.filter(pc.not_equal(table["subject_id"], person))
        sink = pa.BufferOutputStream()
        pq.write_table(left, sink)
        manifest = put(project, sink.getvalue().to_pybytes())
    entry = {"md5": dataset(project, "2"), "root": root, "salt": salt, "keys": [key], "redacted": manifest}
    document["datasets"] = [entry]
    return name(document, lost)


def somebody_who_is_still_there(project: Project, document: dict[str, Any]) -> list[str]:
    """A hash that completes the whole manifest to its root: because it is in it anyway."""
    return of_somebody_else(project, document, redact=False)


def somebody_in_another_shard(project: Project, document: dict[str, Any]) -> list[str]:
    return of_somebody_else(project, document, redact=True)


def hashes_of_nobody(project: Project, document: dict[str, Any]) -> list[str]:
    for each in document["datasets"]:
        each["keys"] = ["0" * 64]
    return name(document, shards(project, "1")[0])


def no_hashes(project: Project, document: dict[str, Any]) -> list[str]:
    for each in document["datasets"]:
        each["keys"] = []
    return name(document, shards(project, "1")[0])


def another_root(project: Project, document: dict[str, Any]) -> list[str]:
    for each in document["datasets"]:
        each["root"] = "0" * 64
    return name(document, shards(project, "1")[0])


def no_tombstone(project: Project, document: dict[str, Any]) -> list[str]:
    lost = name(document, shards(project, "1")[0])
    document["reason"] = {"nested": [[[]]]}
    return lost


def too_large(project: Project, document: dict[str, Any]) -> list[str]:
    lost = name(document, shards(project, "1")[0])
    document["models"] = ["x" * (33 * 2**20)]
    return lost


LIES = (
    weights,
    weights_called_a_shard,
    consent,
    predictions,
    listing,
    a_shard_without_them,
    every_shard,
    another_dataset,
    somebody_who_is_still_there,
    somebody_in_another_shard,
    hashes_of_nobody,
    no_hashes,
    another_root,
    no_tombstone,
    too_large,
)


@pytest.fixture(scope="module")
def erased(cycle: Any, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after an erasure, for tests that leave it as it was."""
    project: Project = cycle.project.copy(tmp_path_factory.mktemp("erased"))
    lineage(project, "erase", OUT, "--execute", "--yes")
    return project


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lie_is_no_excuse(erased: Project, lineage: Lineage, lie: Lie) -> None:
    (true,) = (erased.root / "erasures").glob("*/tombstone.json")
    document = copy.deepcopy(json.loads(true.read_text())) | {"id": "lie"}
    lost, second = lie(erased, document), dataset(erased, "2")
    copies = [path for md5 in lost for path in (erased.object(md5), erased.cached(md5)) if path.exists()]
    before = {path: path.read_bytes() for path in copies}
    head = erased.git("rev-parse", "HEAD")
    try:
        for path in before:
            path.unlink()
        (erased.root / "erasures" / "lie").mkdir()
        (erased.root / "erasures" / "lie" / "tombstone.json").write_text(json.dumps(document))
        erased.git("add", "--force", "erasures")
        erased.git("commit", "--quiet", "--no-verify", "--message", "Lie")
        version = SECOND if document["datasets"][:1] and document["datasets"][0]["md5"] == second else FIRST
        proof = lineage.verify(erased, version)
        assert proof.state in ("FAIL", "INCONCLUSIVE")
        if lie is predictions:
            assert proof.link("DVC remote")["state"] == "INCONCLUSIVE"
            assert "nothing shows that anybody erased was in it" in proof.link("DVC remote")["text"]
        elif lie is not listing:  # without it nobody knows what was in the dataset
            assert proof.link("DVC remote")["state"] == "FAIL"
            said = " ".join(proof.link("DVC remote")["faults"])
            assert "is absent" in said or "names another Merkle root" in said or "Merkle roots" in said
            if lie in (somebody_who_is_still_there, somebody_in_another_shard):  # the root agrees, the shards do not
                assert "it held nobody who was erased" in said
        assert "Traceback" not in proof.output
    finally:
        erased.git("reset", "--quiet", "--hard", head)
        for path, data in before.items():
            path.write_bytes(data)


def test_the_truth_is_one(erased: Project, lineage: Lineage) -> None:
    """Once more after all the lies: who was in no model's data makes no model erased, and the last line says so."""
    status, output = lineage.ask(erased, "verify", FIRST)
    assert status == 3
    assert "1 of 1 models proved but for records that were erased on purpose" in output
    assert lineage.verify(erased, SECOND).state == "PASS"
    assert "part of its raw data was erased" in lineage.verify(erased, SECOND).link("DVC remote")["text"]
    assert "1 of 2 models proved, 1 of 2 proved but for records" in lineage.ask(erased, "verify", "--all")[1]


def test_raw_data_of_somebody_in_no_dataset(project: Project, lineage: Lineage) -> None:
    """Nothing can show that the erased records were theirs: only the tombstone says so, and that is no proof."""
    write_registry(project, everybody())
    lineage(project, "erase", UNLISTED, "--execute", "--yes")
    for version in (FIRST, SECOND):
        link = lineage.verify(project, version).link("DVC remote")
        assert link["state"] == "INCONCLUSIVE"
        assert "only the tombstone says so" in link["text"]
