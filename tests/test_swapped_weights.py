"""Weights in the place of others, with everything in Git and DVC written to fit: only the run's own record objects."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from baked import Project
from command import Lineage
from damage import WEIGHTS, lock_edit, manifest, put, rewrite

DATASET, RECORD = "data/processed", "models/run.json"
IDENTITY = (
    "from pathlib import Path; from lineage.dvc.recorded import Recorded; print(Recorded.here(Path('.')).identity)"
)


def _pretend(project: Project, change: Callable[[dict[str, Any]], None]) -> None:
    """The second model has the weights of the first; `change` may edit its lineage.json (and dvc.lock) further."""
    first = json.loads(project.git("show", f"{project.commit_of('First model')}:lineage.json"))["model"]

    def forge() -> None:
        document = project.lineage
        document["model"] |= {key: first[key] for key in ("md5", "sha256", "size")}
        for stage in ("train", "evaluate", "register"):
            lock_edit(project, stage, WEIGHTS, first["md5"])
        change(document)
        document["model"]["identity"] = project.run("python", "-c", IDENTITY).strip()
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (project.root / "lineage.json").write_text(text)
        lock_edit(project, "register", "lineage.json", hashlib.md5(text.encode()).hexdigest())

    rewrite(project, forge)


def _on_other_data(project: Project, document: dict[str, Any], split: str) -> None:
    """Names a dataset that lacks one record of a split, and a record of the run that agrees with all of it."""
    old = manifest(project)
    table = pq.read_table(project.object(old))
    victim = table.filter(pc.equal(table["split"], split))["record_id"][0]
    written = io.BytesIO()
    pq.write_table(table.filter(pc.not_equal(table["record_id"], victim)), written)
    entries = project.listing(project.out("preprocess", DATASET))
    new = put(project, written.getvalue())
    listing = [{**entry, "md5": new} if entry["md5"] == old else entry for entry in entries]
    data = put(project, json.dumps(listing, sort_keys=True).encode(), ".dir")
    document["dataset"]["md5"] = data
    record = json.loads(project.object(document["training_run"]["md5"]).read_text())
    given = record["worked_with"]
    record["worked_with"] = {**given, "deps": {**given["deps"], DATASET: data}}
    record["model_sha256"] = document["model"]["sha256"]
    document["training_run"] = {**record, "md5": put(project, json.dumps(record).encode())}
    lock_edit(project, "train", DATASET, data.removesuffix(".dir"))
    lock_edit(project, "train", RECORD, document["training_run"]["md5"])


def test_weights_of_another_model(project: Project, lineage: Lineage) -> None:
    _pretend(project, lambda document: None)
    proof = lineage.verify(project, "lineage.json")
    assert (proof.status, list(proof.not_passed)) == (1, ["run record"])
    assert "models/model.safetensors that the run made" in proof.not_passed["run record"]
    assert lineage.verify(project, "models:/traceable-digits/1").not_passed == {}  # whose weights they are


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_equal_weights_of_two_datasets(split: str, project: Project, lineage: Lineage) -> None:
    _pretend(project, lambda document: _on_other_data(project, document, split))
    for model in ("lineage.json", "models:/traceable-digits/1"):
        link = lineage.verify(project, model).link("run record")
        if split == "test":  # nothing that a training sees is another
            assert link["state"] == "PASS"
            assert "gave the same weights: its records to train on are the same" in link["text"]
        else:
            assert link["state"] == "INCONCLUSIVE"
            assert "the same weights come from dataset" in link["text"]
            assert "lineage verify --reproduce" in link["text"]
