"""The link between a run, its dataset and its weights: what the run wrote down about itself, and dvc.lock hashes."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from ...base.errors import LineageError
from ...contract import Role
from ...dvc.dvcfile import DVC_LOCK, differences, locked_hash
from ...dvc.recorded import Recorded
from ...git.tree import LINEAGE
from ...records.layout import MANIFEST
from ...settings import flatten
from ..case import ModelCase
from ..dataset import describe
from ..recompute import CheckResult
from ..rows import batches, digests

LEARNED_FROM = ("train", "val")  # the splits that decide the weights


def run_record(case: ModelCase) -> CheckResult:
    """What the training run wrote down while it ran: which dataset it read, which weights and scores it made."""
    result = CheckResult()
    record, training = _record(case, case.recorded), case.training
    path, model = (str(case.recorded.pipeline.path(role)) for role in (Role.RUN, Role.MODEL))
    given = record.get("worked_with") or {}
    if not given or not record.get("model_sha256"):
        result.unknown.append(f"{path} does not say what the run read and made")
    else:
        result.looked_at += 1 + len(given["deps"]) + len(flatten(given["params"]))
        result.faults += [
            f"{what} is another in the entry of {training.name} in dvc.lock than {path} says that the run worked with"
            for what in differences(given, case.recorded.trained)
        ]
    if stated := record.get("model_sha256"):
        made, kept = f"SHA-256 {stated}", f"SHA-256 {case.document['model']['sha256']}"
        result.equal(f"{model} that the run made", made, kept, LINEAGE)
    try:
        _compare_scores(case, record.get("best") or {}, result)
        _look_for_twins(case, result)
    except LineageError as error:  # what was found so far stands
        result.unknown.append(str(error))
    return result


def _record(case: ModelCase, recorded: Recorded) -> dict[str, Any]:
    md5 = recorded.made(Role.RUN)
    if md5 is None:
        raise LineageError("dvc.lock records nothing that the training wrote down about itself.")
    record: dict[str, Any] = json.loads(case.evidence.objects.read(md5))
    return record


def _compare_scores(case: ModelCase, best: dict[str, Any], result: CheckResult) -> None:
    """The best epoch, as the record of the run has it, against what else the run wrote."""
    where = str(case.recorded.pipeline.path(Role.RUN))
    for path in case.training.reports if best else ():
        md5 = locked_hash(case.recorded.trained, "outs", path)
        if md5 is None:
            continue
        if path.endswith(".json"):
            final = json.loads(case.evidence.objects.read(md5))
            if "best_epoch" not in final:  # a training of one's own may write others
                continue
            result.equal(f"best_epoch in {path}", final["best_epoch"], best.get("number"), where)
            for key in best.keys() & final.keys():
                result.equal(f"{key} in {path}", final[key], best[key], where)
        elif path.endswith(".csv"):
            rows = csv.DictReader(io.StringIO(case.evidence.objects.read(md5).decode()))
            row = next((row for row in rows if row.get("epoch") == str(best.get("number"))), {})
            for key in best.keys() & row.keys():
                result.equal(f"{key} of epoch {best['number']} in {path}", row[key], str(best[key]), where)


def _look_for_twins(case: ModelCase, result: CheckResult) -> None:
    """Whether the same weights are said to come from another dataset as well.

    Both can be true only where the two have the same records to train and to choose by. An entry of dvc.lock counts
    only if the record of its run agrees with it.
    """
    weights, data = case.recorded.md5(Role.MODEL), case.dataset
    if weights is None or not data:
        return
    seen = {data}
    for commit in case.history.commits_holding(weights, path=DVC_LOCK):
        recorded = case.history.at(commit).recorded
        other = recorded.md5(Role.DATASET)
        if recorded.md5(Role.MODEL) != weights or other is None or other in seen:
            continue
        if not _is_meant(case, recorded, other):
            continue
        seen.add(other)
        result.looked_at += 1
        mine, others = _learned_from(case, data), _learned_from(case, other)
        if mine is not None and mine == others:
            result.note += f"; dataset {other} gave the same weights: its records to train on are the same"
        else:
            known = "which has other records to train on" if mine and others else "some of whose records were erased"
            result.unknown.append(
                f"commit {commit[:12]} says that the same weights come from dataset {other}, {known}. "
                "Only training again shows which is true: `lineage verify --reproduce`"
            )


def _is_meant(case: ModelCase, recorded: Recorded, data: str) -> bool:
    try:
        record = _record(case, recorded)
    except (LineageError, ValueError):
        return True
    path = recorded.pipeline.path(Role.DATASET)
    read, made = ((record.get("worked_with") or {}).get("deps") or {}).get(path), record.get("model_sha256")
    return bool(read == data and made == case.document["model"]["sha256"])


def _learned_from(case: ModelCase, md5: str) -> bytes | None:
    """The records of a dataset version that a training sees, by their content, as hashes that follow each other.

    None if some of them were erased.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    objects, columns = case.evidence.objects, ["record_id", "split", "label", "content_sha256"]
    with tempfile.TemporaryDirectory() as scratch:
        erased = case.evidence.erasures.of_dataset(md5)
        manifest = objects.verified(erased.redacted if erased else objects.listing(md5)[MANIFEST], Path(scratch))
        splits, rows = pa.array(LEARNED_FROM), batches(manifest, columns)
        found = digests((batch.filter(pc.is_in(batch["split"], splits)) for batch in rows), columns)
    if erased and len(found) != sum(describe(objects, md5)["records"].get(split, 0) for split in LEARNED_FROM):
        return None
    return np.unique(found).tobytes()
