"""The copies of manifests that runs have logged: a second witness of what a run has read. One that is gone is named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..errors import TrackerError
from ..lineage.callback import MANIFEST
from ..lineage.tracking import local_path
from ..proof.case import Evidence
from .scope import Use

if TYPE_CHECKING:
    from mlflow.entities import Run

FILE = "file:"
JOBS = 16
NAME = MANIFEST.rpartition("/")[2]


def missing(evidence: Evidence, uses: Iterable[Use]) -> dict[str, str]:
    """What is wrong with the logged manifest, by name of the use, where something is."""
    runs = evidence.store.runs
    wanted = {use.name: use.run_id for use in uses if use.run_id in runs and not use.left_no_model}
    wanted = {name: run_id for name, run_id in wanted.items() if _logs_one(evidence, runs[run_id])}
    elsewhere = {name: run_id for name, run_id in wanted.items() if not runs[run_id].info.artifact_uri.startswith(FILE)}
    gone = {
        name: f"the manifest that run {run_id} has logged is gone"
        for name, run_id in wanted.items()
        if name not in elsewhere and not os.path.isfile(_local(runs[run_id].info.artifact_uri))  # noqa: PTH113  for thousands
    }
    with ThreadPoolExecutor(JOBS) as pool:
        faults = pool.map(lambda run_id: _fault(evidence, run_id), elsewhere.values())
        return gone | {name: fault for name, fault in zip(elsewhere, faults, strict=True) if fault}


def _logs_one(evidence: Evidence, run: Run) -> bool:
    """Whether a run should have a manifest: preprocess makes the dataset and logs none, an erased one is gone."""
    tags = run.data.tags
    return tags.get("dvc_stage") != "preprocess" and not evidence.erasures.of_dataset(tags.get("dvc_data_md5", ""))


def _local(artifacts: str) -> str:
    folder, run, rest = artifacts.rsplit("/", 2)  # the first is the experiment's, and the same for thousands of runs
    return f"{_folder(folder)}/{unquote(run)}/{rest}/{NAME}"


@cache
def _folder(uri: str) -> Path | None:
    return local_path(uri)


def _fault(evidence: Evidence, run_id: str) -> str | None:
    try:
        with evidence.store.asked(f"list the artifacts of run {run_id}"):
            names = {item.path for item in evidence.store.client.list_artifacts(run_id)}
    except TrackerError as error:
        return str(error)
    return None if NAME in names else f"the manifest that run {run_id} has logged is gone"
