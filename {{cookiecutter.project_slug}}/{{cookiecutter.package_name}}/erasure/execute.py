"""Plans an erasure, and does it: first the tombstone, then a note of every step, then the deleting.

Whatever it is killed at, what is gone has a tombstone in Git, and what is left is in the notes, from which the erasure
goes on. The notes hold ids of subjects; they lie in .dvc/tmp, and go when all is done.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..audit.scope import Scope
from ..data.merkle import subject_key
from ..errors import LineageError
from ..lineage.facts import DATASET, RAW, made_dataset
from ..lineage.git import Repository
from ..lineage.hashes import hash_path
from ..pages import write_whole
from ..pipeline.dvcfile import read_lock
from ..proof.case import Evidence
from ..proof.dataset import subject_tree
from ..proof.erasures import FOLDER, MANIFESTS, TOMBSTONE
from ..proof.tombstones import SCHEMA
from .copies import Copy, delete, find
from .holders import Holder, Holders


@dataclass
class Plan:
    """What holds bytes of some subjects, and what deleting it means."""

    ids: list[str]
    holders: list[Holder]
    copies: list[Copy]
    models: list[str]  # trained on them; they stay
    not_restorable: list[str]  # after it
    unknown: list[str]  # what could not be looked into
    blocked: list[str]  # why it cannot be done now
    id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}")
    reason: str = ""

    @property
    def datasets(self) -> list[str]:
        return sorted({holder.folder for holder in self.holders if holder.path.startswith(f"{DATASET}/")})


def plan(evidence: Evidence, ids: list[str]) -> Plan:
    """Looks for everything that holds bytes of these subjects. Raises a ProjectError if it cannot be looked at."""
    holders = Holders(evidence, ids)
    copies = find(evidence, holders, ids)
    datasets = set(holders.datasets)
    uses = [use for use in Scope(evidence).versions if use.datasets & datasets]
    models = [f"{use.name}{''.join(f' @{alias}' for alias in use.aliases)}" for use in uses]
    folders = {(holder.path.startswith(f"{DATASET}/"), holder.folder) for holder in holders.found}
    lost = [f"{'dataset version' if is_dataset else 'raw data'} {md5}" for is_dataset, md5 in sorted(folders)]
    here, committed = made_dataset(read_lock(evidence.root)), made_dataset(evidence.history.lock("HEAD"))
    blocked = []
    if now := {here, committed} & datasets:  # what a commit after the tombstone records counts as made since
        blocked.append(
            f"the dataset version of this moment ({', '.join(map(str, now))}) holds them. Revoke their consent in the "
            "registry (or take them out of the source), then `dvc repro`, commit, and ask again."
        )
    if (evidence.root / f"{RAW}.dvc").exists() and any(holder.path.startswith(f"{RAW}/") for holder in holders.found):
        current = evidence.history.added("HEAD").get(RAW)
        if current in {holder.folder for holder in holders.found}:
            blocked.append(f"{RAW} holds them. Take them out there, `dvc add {RAW}`, commit, and ask again.")
    return Plan(ids, holders.found, copies, models, lost, holders.unknown, blocked)


def unfinished(evidence: Evidence) -> list[Plan]:
    """Erasures that were begun here and not brought to their end."""
    found = []
    for path in sorted(_notes(evidence).glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["holders"] = [Holder(**item) for item in document["holders"]]
        document["copies"] = [Copy(**item) for item in document["copies"]]
        found.append(Plan(**document))
    return found


def execute(evidence: Evidence, wanted: Plan) -> list[str]:
    """Does what was planned. Returns what could not be deleted, in sentences; empty if all is gone.

    Raises LineageError, before anything is deleted, if the tombstone cannot be made.
    """
    if wanted.blocked:
        raise LineageError(wanted.blocked[0])
    notes = _notes(evidence) / f"{wanted.id}.json"
    notes.parent.mkdir(parents=True, exist_ok=True)
    _write(notes, asdict(wanted))
    _bury(evidence, wanted)
    left = []
    for copy in wanted.copies:
        print(f"deleting {copy.title}", flush=True)
        try:
            delete(evidence, copy)
        except LineageError as error:
            left.append(str(error))
    if not left:
        notes.unlink()
    return left


def _bury(evidence: Evidence, wanted: Plan) -> None:
    """Writes the tombstone and what is left of the manifests, and commits both. Once for each erasure."""
    folder = evidence.root / FOLDER / wanted.id
    git = Repository(evidence.root)
    if git.lines("log", "--max-count=1", "--format=%H", "--", f"{FOLDER}/{wanted.id}/{TOMBSTONE}"):
        return
    manifests = folder / MANIFESTS
    manifests.mkdir(parents=True, exist_ok=True)
    datasets = [
        _redact(evidence, md5, wanted.ids, manifests / f"{md5.removesuffix('.dir')}.parquet") for md5 in wanted.datasets
    ]
    kept = []
    if datasets:
        _dvc(evidence.root, "add", "--quiet", f"{FOLDER}/{wanted.id}/{MANIFESTS}")
        evidence.objects.keep(manifests, hash_path(manifests))
        kept = [f"{FOLDER}/{wanted.id}/{MANIFESTS}.dvc", f"{FOLDER}/{wanted.id}/.gitignore"]
    tombstone = {
        "schema": SCHEMA,
        "id": wanted.id,
        "moment": datetime.now(UTC).isoformat(timespec="seconds"),
        "reason": wanted.reason,
        "objects": [
            {"md5": md5, "path": path} for md5, path in sorted({h.md5: h.path for h in wanted.holders}.items())
        ],
        "not_found": [],
        "datasets": datasets,
        "models": [name.partition(" ")[0] for name in wanted.models],
    }
    _write(folder / TOMBSTONE, tombstone)
    paths = [f"{FOLDER}/{wanted.id}/{TOMBSTONE}", *kept]
    git.must("add", "--force", "--", *paths)
    git.must("commit", "--quiet", "--no-verify", "--message", f"Erasure {wanted.id}", "--only", "--", *paths)


def _redact(evidence: Evidence, md5: str, ids: list[str], target: Path) -> dict[str, Any]:
    """Writes the manifest of a dataset version without some subjects. Returns what its tombstone says."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from ..data.dataset import MANIFEST

    before = evidence.erasures.of_dataset(md5)
    tree = subject_tree(evidence.objects, md5, before)  # and so: the manifest is as it was
    data = evidence.objects.read(before.redacted if before else evidence.objects.listing(md5)[MANIFEST])
    manifest = pq.read_table(pa.BufferReader(data))
    there = set(manifest["subject_id"].to_pylist()) & set(ids)
    rest = manifest.filter(pc.invert(pc.is_in(manifest["subject_id"], pa.array(ids, pa.string()))))
    pq.write_table(rest.replace_schema_metadata(None), target, compression="none", write_page_checksum=True)
    keys = {subject_key(tree.salt, subject_id).hex() for subject_id in there} | (before.keys if before else set())
    return {
        "md5": md5,
        "root": tree.root_in(md5),
        "salt": tree.salt,
        "keys": sorted(keys),
        "redacted": hash_path(target).md5,
    }


def _notes(evidence: Evidence) -> Path:
    return evidence.main / ".dvc" / "tmp" / "erasures"


def _write(path: Path, document: dict[str, Any]) -> None:
    write_whole(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _dvc(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LineageError(f"`dvc {' '.join(arguments)}` failed: {done.stderr.strip().splitlines()[-1]}")
