"""The link between a run, its dataset and its weights: models/run.json, which the run wrote and dvc.lock hashes."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from ...data.dataset import MANIFEST
from ...errors import LineageError
from ...lineage.facts import DATASET, MODEL, RUN_RECORD
from ...pipeline.dvcfile import DVC_LOCK, Lock, locked_hash
from ...pipeline.given import differences
from ...settings import flatten
from ..case import Case
from ..dataset import describe
from ..history import LINEAGE
from ..recompute import Tally

SCORES, EPOCHS = "metrics/train.json", "plots/training.csv"
LEARNED_FROM = ("train", "val")  # the splits that decide the weights


def run_record(case: Case) -> Tally:
    """What the training run wrote down while it ran: which dataset it read, which weights and scores it made."""
    tally = Tally()
    record = _record(case, case.lock)
    given = record.get("worked_with") or {}
    if not given or not record.get("model_sha256"):
        tally.unknown.append(f"{RUN_RECORD} does not say what the run read and made")
    else:
        tally.looked_at += 1 + len(given["deps"]) + len(flatten(given["params"]))
        tally.faults += [
            f"{what} is another in the entry of train in dvc.lock than {RUN_RECORD} says that the run worked with"
            for what in differences(given, case.lock["train"])
        ]
    if stated := record.get("model_sha256"):
        made, kept = f"SHA-256 {stated}", f"SHA-256 {case.document['model']['sha256']}"
        tally.equal(f"{MODEL} that the run made", made, kept, LINEAGE)
    try:
        _compare_scores(case, record.get("best") or {}, tally)
        _look_for_twins(case, tally)
    except LineageError as error:  # what was found so far stands
        tally.unknown.append(str(error))
    return tally


def _record(case: Case, lock: Lock) -> dict[str, Any]:
    md5 = locked_hash(lock.get("train"), "outs", RUN_RECORD)
    if md5 is None:
        raise LineageError(f"dvc.lock records no {RUN_RECORD}.")
    record: dict[str, Any] = json.loads(case.evidence.objects.read(md5))
    return record


def _compare_scores(case: Case, best: dict[str, Any], tally: Tally) -> None:
    """The best epoch, as the record of the run has it, against what else the run wrote."""
    scores, epochs = (locked_hash(case.lock["train"], "outs", path) for path in (SCORES, EPOCHS))
    if not best or scores is None or epochs is None:
        return  # a training of one's own may write others
    final = json.loads(case.evidence.objects.read(scores))
    rows = csv.DictReader(io.StringIO(case.evidence.objects.read(epochs).decode()))
    row = next((row for row in rows if row.get("epoch") == str(best.get("number"))), {})
    tally.equal(f"best_epoch in {SCORES}", final.get("best_epoch"), best.get("number"), RUN_RECORD)
    for key in best.keys() & final.keys():
        tally.equal(f"{key} in {SCORES}", final[key], best[key], RUN_RECORD)
    for key in best.keys() & row.keys():
        tally.equal(f"{key} of epoch {best['number']} in {EPOCHS}", row[key], str(best[key]), RUN_RECORD)


def _look_for_twins(case: Case, tally: Tally) -> None:
    """Whether the same weights are said to come from another dataset as well.

    Both can be true only where the two have the same records to train and to choose by. An entry of dvc.lock counts
    only if the record of its run agrees with it.
    """
    weights, data = locked_hash(case.lock["train"], "outs", MODEL), locked_hash(case.lock["train"], "deps", DATASET)
    if weights is None or data is None:
        return
    seen = {data}
    for commit in case.history.commits_holding(weights, path=DVC_LOCK):
        lock = case.history.lock(commit)
        other = locked_hash(lock.get("train"), "deps", DATASET)
        if locked_hash(lock.get("train"), "outs", MODEL) != weights or other is None or other in seen:
            continue
        if not _is_meant(case, lock, other):
            continue
        seen.add(other)
        tally.looked_at += 1
        mine, others = _learned_from(case, data), _learned_from(case, other)
        if mine is not None and mine == others:
            tally.note += f"; dataset {other} gave the same weights: its records to train on are the same"
        else:
            known = "which has other records to train on" if mine and others else "some of whose records were erased"
            tally.unknown.append(
                f"commit {commit[:12]} says that the same weights come from dataset {other}, {known}. "
                "Only training again shows which is true: `lineage verify --reproduce`"
            )


def _is_meant(case: Case, lock: Lock, data: str) -> bool:
    try:
        record = _record(case, lock)
    except (LineageError, ValueError):
        return True
    read, made = ((record.get("worked_with") or {}).get("deps") or {}).get(DATASET), record.get("model_sha256")
    return bool(read == data and made == case.document["model"]["sha256"])


def _learned_from(case: Case, md5: str) -> set[tuple[Any, ...]] | None:
    """The records of a dataset version that a training sees, by their content; None if some of them were erased."""
    import pyarrow.parquet as pq

    objects, columns = case.evidence.objects, ["record_id", "split", "label", "content_sha256"]
    with tempfile.TemporaryDirectory() as scratch:
        erased = case.evidence.erasures.of_dataset(md5)
        manifest = objects.verified(erased.redacted if erased else objects.listing(md5)[MANIFEST], Path(scratch))
        table = pq.read_table(manifest, columns=columns, filters=[("split", "in", LEARNED_FROM)])
    if erased and table.num_rows != sum(describe(objects, md5)["records"].get(split, 0) for split in LEARNED_FROM):
        return None
    return set(zip(*(table[name].to_pylist() for name in columns), strict=True))
