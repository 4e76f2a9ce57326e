"""The copies of manifests that runs have logged: a second witness of what a run has read. One that is gone is named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from ..base.errors import TrackerError
from ..contract import Role
from ..records.layout import MANIFEST
from ..tracking.address import local_path
from ..tracking.store import Store
from .scope import Scope
from .use import Use

FILE = "file:"
JOBS = 16
LOGGING = (Role.MODEL, Role.SCORES)  # what is made by the stages whose runs log it


def missing(scope: Scope, uses: Iterable[Use]) -> dict[str, str]:
    """What is wrong with the logged manifest, by name of the use, where something is."""
    erasures = scope.evidence.erasures
    readers = [use for use in uses if use.run_id and use.role in LOGGING and not use.left_no_model]
    found = {use.run_id: scope.holdings.run(use.run_id) for use in readers}
    runs = {run_id: pair for run_id, pair in found.items() if pair is not None}
    if erasures.all:  # nor is a copy left of what they deleted
        runs = {run_id: pair for run_id, pair in runs.items() if not erasures.of_logged(pair[1])}
    wanted = {use.name: use.run_id for use in readers if use.run_id in runs}
    places = {run_id: runs[run_id][1].info.artifact_uri for run_id in wanted.values()}
    here = {run_id: _local(place) for run_id, place in places.items() if place.startswith(FILE)}
    gone = {run_id for run_id, path in here.items() if not os.path.isfile(path)}  # noqa: PTH113  for thousands
    elsewhere = places.keys() - here.keys()
    with ThreadPoolExecutor(JOBS) as pool:
        answers = zip(elsewhere, pool.map(lambda run_id: _fault(runs[run_id][0], run_id), elsewhere), strict=True)
        faults = dict(answers) | {run_id: _gone(run_id) for run_id in gone}
    return {name: fault for name, run_id in wanted.items() if (fault := faults.get(run_id))}


def _gone(run_id: str) -> str:
    return f"the manifest that run {run_id} has logged is gone"


def _local(artifacts: str) -> str:
    folder, run, rest = artifacts.rsplit("/", 2)  # the first is the experiment's, and the same for thousands of runs
    return f"{_folder(folder)}/{unquote(run)}/{rest}/{MANIFEST}"


@cache
def _folder(uri: str) -> Path | None:
    return local_path(uri)


def _fault(store: Store, run_id: str) -> str | None:
    try:
        with store.asked(f"list the artifacts of run {run_id}"):
            names = {item.path for item in store.client.list_artifacts(run_id)}
    except TrackerError as error:
        return str(error)
    return None if MANIFEST in names else _gone(run_id)
