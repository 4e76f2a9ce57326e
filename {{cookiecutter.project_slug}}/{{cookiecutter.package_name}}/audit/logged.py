"""The copies of manifests that runs have logged: a second witness of what a run has read. One that is gone is named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from ..errors import TrackerError
from ..lineage.callback import MANIFEST
from ..lineage.tracking import local_path
from ..proof.case import Evidence
from .scope import Use

FILE = "file:"
JOBS = 16
NAME = MANIFEST.rpartition("/")[2]


def missing(evidence: Evidence, uses: Iterable[Use]) -> dict[str, str]:
    """What is wrong with the logged manifest, by name of the use, where something is."""
    runs, erasures = evidence.store.runs, evidence.erasures
    wanted = {
        use.name: use.run_id
        for use in uses
        if use.stage != "preprocess" and not use.left_no_model and use.run_id in runs  # preprocess logs none
    }
    if erasures.all:  # nor is a copy left of what they deleted
        wanted = {name: run_id for name, run_id in wanted.items() if not erasures.of_logged(runs[run_id])}
    places = {run_id: runs[run_id].info.artifact_uri for run_id in wanted.values()}
    here = {run_id: _local(place) for run_id, place in places.items() if place.startswith(FILE)}
    gone = {run_id for run_id, path in here.items() if not os.path.isfile(path)}  # noqa: PTH113  for thousands
    elsewhere = places.keys() - here.keys()
    with ThreadPoolExecutor(JOBS) as pool:
        answers = zip(elsewhere, pool.map(lambda run_id: _fault(evidence, run_id), elsewhere), strict=True)
        faults = dict(answers) | {run_id: _gone(run_id) for run_id in gone}
    return {name: fault for name, run_id in wanted.items() if (fault := faults.get(run_id))}


def _gone(run_id: str) -> str:
    return f"the manifest that run {run_id} has logged is gone"


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
    return None if NAME in names else _gone(run_id)
