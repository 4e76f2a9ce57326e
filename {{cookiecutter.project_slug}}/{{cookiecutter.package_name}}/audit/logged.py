"""The copies of manifests that runs have logged: a second witness of what a run has read. One that is gone is named."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from ..errors import TrackerError
from ..lineage.callback import MANIFEST
from ..lineage.tracking import local_path
from ..proof.case import Evidence
from .scope import Use

JOBS = 16
NAME = MANIFEST.rpartition("/")[2]


def missing(evidence: Evidence, uses: Iterable[Use]) -> dict[str, str]:
    """What is wrong with the logged manifest, by name of the use, where something is."""
    runs = {use.name: use.run_id for use in uses if use.run_id in evidence.store.runs and not use.left_no_model}
    with ThreadPoolExecutor(JOBS) as pool:
        faults = pool.map(lambda run_id: _fault(evidence, run_id), runs.values())
        return {name: fault for name, fault in zip(runs, faults, strict=True) if fault}


def _fault(evidence: Evidence, run_id: str) -> str | None:
    run = evidence.store.runs[run_id]
    if run.data.tags.get("dvc_stage") == "preprocess":
        return None  # it has made the dataset version, and logs none
    if evidence.erasures.of_dataset(run.data.tags.get("dvc_data_md5", "")):
        return None  # it was erased
    folder = local_path(run.info.artifact_uri)
    if folder is not None:
        return None if (folder / NAME).is_file() else f"the manifest that run {run_id} has logged is gone"
    try:
        with evidence.store.asked(f"list the artifacts of run {run_id}"):
            names = {item.path for item in evidence.store.client.list_artifacts(run_id)}
    except TrackerError as error:
        return str(error)
    return None if NAME in names else f"the manifest that run {run_id} has logged is gone"
