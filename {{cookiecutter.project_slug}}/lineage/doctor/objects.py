"""Whether the DVC remote holds what dvc.lock records, here and in the commits before."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.finding import Finding
from ..base.printable import some
from ..dvc.dvcfile import DVC_LOCK, read_lock, read_pipeline
from ..dvc.remote import Remote, Storage
from ..git.repository import Repository

if TYPE_CHECKING:
    from ..proof.case import Evidence

EARLIER = 100  # models before the present one whose objects are looked up, the newest ones
KEPT_BY_DVC = ("model", "training_run", "dataset", "raw", "consent", "pretrained")  # in lineage.json


def check_pushed(root: Path) -> Finding:
    if fix := Repository(root).how_to_bring(DVC_LOCK):
        text = f"{DVC_LOCK} is in the last commit and not here: nothing can be looked up."
        return Finding("objects", "wrong", text, fix)
    storage, remote = Storage(root), Remote.of(root)
    if remote is None:
        return Finding("objects", "unknown", "no remote to look in")
    objects = storage.objects_of(read_pipeline(root), read_lock(root))
    if not objects.known and not objects.unlisted:
        return Finding("objects", "right", "dvc.lock records none yet")
    missing = remote.missing(objects.known)
    evidence = _evidence_of_erasures(root) if missing or missing is None else None
    if missing is None:
        asked = _ask_dvc(root)
        if asked.state != "right":
            return asked
        # to dvc a listing stands for its files, which after an erasure it does not
        missing = _named_and_missing(evidence, objects.known) if evidence else frozenset()
    erased = frozenset(md5 for md5 in missing if evidence and evidence.erasures.of_object(md5))
    if missing := missing - erased:
        text = f"{len(missing)} of {len(objects.known)} objects that dvc.lock records are not in {remote.url}."
        return Finding("objects", "wrong", text, "lineage data push")
    if lost := _lost_of_earlier(root, remote):
        return lost
    if objects.unlisted:
        text = (
            f"the contents of {some(objects.unlisted)} are neither in the cache nor in the remote, so they "
            "could not be checked."
        )
        return Finding("objects", "unknown", text, "dvc pull")
    text = f"all {len(objects.known)} that dvc.lock records are in the remote"
    if erased:
        text += f", but for {len(erased)} that were erased on purpose: where these are needed, `dvc repro` makes them"
    return Finding("objects", "right", text)


def _lost_of_earlier(root: Path, remote: Remote) -> Finding | None:
    """The finding where objects of earlier models are gone: `dvc gc --cloud` takes all but those of this checkout."""
    if remote.folder is None:
        return None
    from ..git.history import History
    from ..git.tree import LINEAGE
    from ..proof.collections import Collections

    history = History(root)
    if not history.git.head():
        return None
    states = [state for state in history.states if state.path == LINEAGE]
    blobs = list(dict.fromkeys(state.blob for state in reversed(states)))[:EARLIER]
    lost: dict[str, str] = {}  # by hash: the model
    for blob in blobs:
        for md5, model in _named_objects(history.blob(blob)).items():
            lost.setdefault(md5, model)
    gone = remote.missing(frozenset(lost)) or frozenset()
    if gone and (evidence := _evidence_of_erasures(root)):
        gone -= frozenset(md5 for md5 in gone if evidence.erasures.of_object(md5))
    collections = Collections(history)
    gone -= frozenset(md5 for md5 in gone if collections.of_object(md5))  # what ended was said then
    if not gone:
        return None
    models = sorted({lost[md5] for md5 in gone})
    text = (
        f"{len(gone)} objects of {len(models)} earlier models are not in {remote.url} ({some(models)}): they cannot be "
        "restored or proved. `dvc gc --cloud` leaves it so. Where a cache has them still, there:"
    )
    return Finding("objects", "wrong", text, "lineage data push --all-commits")


def _named_objects(data: bytes | None) -> dict[str, str]:
    """The objects that a lineage.json of the history names, and the model that it is of."""
    try:
        document: dict[str, Any] = json.loads(data or b"")
        model = f"models:/{document['model']['name']}/{document['model']['version']}"
        sections = [document[name] for name in KEPT_BY_DVC if document.get(name)]
        files = [file["md5"] for section in sections for file in section.get("files") or []]
        return dict.fromkeys([*(section["md5"] for section in sections), *files], model)
    except (ValueError, KeyError, TypeError):  # none of ours, or none yet
        return {}


def _evidence_of_erasures(root: Path) -> Evidence | None:
    """What says whether something was erased on purpose; None where nothing ever was. It imports all of `proof`."""
    if not Repository(root).lines("log", "--all", "HEAD", "--max-count=1", "--format=%H", "--", "erasures"):
        return None  # on no branch
    from ..proof.case import Evidence

    return Evidence(root)


def _named_and_missing(evidence: Evidence, hashes: frozenset[str]) -> frozenset[str]:
    """Those of `hashes` that a tombstone names and the remote does not hold, each looked up by itself."""
    named = (md5 for md5 in hashes if evidence.erasures.named(md5))
    return frozenset(md5 for md5, held in evidence.objects.held(named).items() if held.size is None)


def _ask_dvc(root: Path) -> Finding:
    """What `dvc status --cloud` says, for remotes that only dvc can read. Takes longer than all other checks."""
    try:
        command = ["dvc", "status", "--cloud", "--json"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return Finding("objects", "unknown", f"dvc could not be asked: {error}")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding("objects", "wrong", f"the remote is out of reach: {last}", "dvc status --cloud -v")
    new = [path for path, state in json.loads(done.stdout or "{}").items() if state == "new"]
    if new:
        text = f"{len(new)} outputs are not in the remote: {some(new)}."
        return Finding("objects", "wrong", text, "lineage data push")
    return Finding("objects", "right", "all that dvc.lock records are in the remote")
