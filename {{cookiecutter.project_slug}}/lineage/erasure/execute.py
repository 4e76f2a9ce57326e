"""Plans an erasure, and does it: first the notes, then the tombstone, then the deleting.

Whatever it is killed at, what is gone has a tombstone in Git, and what is left is in the notes, from which the erasure
goes on: it looks for everything once more, so that what was out of reach before is found when it is back. The notes
hold ids of subjects; they lie in .dvc/tmp, and go when all is done.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..audit.scope import Scope
from ..base.errors import LineageError
from ..base.pages import write_whole
from ..base.printable import printable
from ..contract import Role
from ..dvc.dvcfile import read_lock
from ..dvc.hashes import hash_path
from ..dvc.upload import upload_path
from ..git.repository import Repository
from ..proof.case import Evidence
from ..proof.dataset import subject_tree
from ..proof.erased import FOLDER
from ..proof.erasures import MANIFESTS, TOMBSTONE
from ..proof.tombstones import SCHEMA, parse
from ..records.merkle import subject_key
from . import beyond
from .copies import Copy, delete, find, notes_folder
from .holders import Holder, Holders
from .search import Search

LOST: dict[Role | None, str] = {  # what cannot be restored
    Role.RAW: "raw data",
    Role.DATASET: "dataset version",
    Role.PREDICTIONS: "predictions",
}


def new_id() -> str:
    """A name for an erasure."""
    return f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}"


@dataclass
class Plan:
    """What holds bytes of some subjects, and what deleting it means."""

    ids: list[str]
    holders: list[Holder]
    copies: list[Copy]
    models: list[str]  # trained on them; they stay
    not_restorable: list[str]  # after it
    unknown: list[str]  # what could not be looked into, or found
    missing: list[Holder]  # held them, and should be in the remote: nobody knows where that copy is
    nowhere: dict[str, str]  # objects that no place has, so that nobody knows whom they hold: path by hash
    maybe: list[str]  # what names somebody, but perhaps not them: never deleted
    beyond: list[str]  # what names them and is not deleted here
    blocked: list[str]  # why it cannot be done now
    id: str = field(default_factory=new_id)
    reason: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.holders or self.copies or self.missing)

    def named(self, *, accept_lost: bool) -> list[Holder]:
        """What the tombstone may say of that it is gone, and why."""
        if accept_lost:
            return [*self.holders, *(holder for holder in self.missing if holder not in self.holders)]
        missing = {holder.md5 for holder in self.missing}
        return [holder for holder in self.holders if holder.md5 not in missing]


def plan(evidence: Evidence, ids: list[str]) -> Plan:
    """Looks for everything that holds bytes of these subjects. Raises a ProjectError if it cannot be looked at."""
    holders, search = Holders(evidence, ids), Search(ids)
    found = find(evidence, holders, search)
    datasets = set(holders.datasets)
    scope = Scope(evidence)
    uses = [use for use in (*scope.versions, *scope.only_in_git) if use.datasets & datasets]
    models = [f"{use.name}{''.join(f' @{alias}' for alias in use.aliases)}" for use in uses]
    folders = {(LOST.get(holder.role, LOST[Role.RAW]), holder.folder) for holder in holders.found}
    lost = [f"{what} {md5}" for what, md5 in sorted(folders)]
    history, head, blocked = evidence.history, evidence.history.at("HEAD"), []
    made = history.datasets_made(read_lock(evidence.root)) | history.datasets_made(head.lock)
    if now := made & datasets:  # what a commit after the tombstone records counts as made since
        blocked.append(
            f"the dataset version of this moment ({', '.join(sorted(now))}) holds them. Revoke their consent in the "
            "registry (or take them out of the source), then `dvc repro`, commit, and ask again."
        )
    added, holding = head.added, {md5 for _, md5 in folders}
    blocked += [
        f"{path} holds them. Take them out there, `dvc add {path}`, commit, and ask again."
        for path in sorted(history.roles.paths(Role.RAW))
        if (evidence.root / f"{path}.dvc").exists() and added.get(path) in holding
    ]
    return Plan(
        ids=ids,
        holders=holders.found,
        copies=found.copies,
        models=models,
        not_restorable=lost,
        beyond=[*holders.beyond, *found.left, *beyond.find(evidence, search)],
        unknown=[*holders.unknown, *found.unknown],
        missing=found.missing,
        nowhere=holders.nowhere,
        maybe=[*dict.fromkeys(holders.maybe), *found.maybe],
        blocked=blocked,
    )


def unfinished(evidence: Evidence) -> list[Plan]:
    """Erasures that were begun here and not brought to their end. Raises LineageError if their notes are damaged."""
    found = []
    for path in sorted(notes_folder(evidence).glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            for name in ("holders", "missing"):
                document[name] = [Holder(**{**item, "role": _role(item["role"])}) for item in document[name]]
            document["copies"] = [Copy(**item) for item in document["copies"]]
            found.append(Plan(**document))
        except (ValueError, KeyError, TypeError):
            raise LineageError(f"{path} is damaged. Delete it, and erase the subjects again by their ids.") from None
    return found


def _role(stated: str | None) -> Role | None:
    return Role(stated) if stated else None


def execute(evidence: Evidence, wanted: Plan, *, accept_lost: bool = False) -> list[str]:
    """Does what was planned. Returns what is left, in sentences; empty if all is gone.

    With `accept_lost`, what no place has any more counts as gone, in the tombstone too. Raises LineageError, before
    anything is deleted, if it cannot be done now or the tombstone cannot be made.
    """
    if wanted.blocked:  # begun before or not: what has come back since is in use again
        raise LineageError(wanted.blocked[0])
    if accept_lost and wanted.missing and _is_buried(evidence, wanted):
        wanted.id = new_id()  # its tombstone does not name these
    notes = notes_folder(evidence) / f"{wanted.id}.json"
    notes.parent.mkdir(parents=True, exist_ok=True)
    _write(notes, asdict(wanted))
    _write_tombstone(evidence, wanted, accept_lost=accept_lost)
    left = []
    for copy in wanted.copies:
        print(f"deleting {printable(copy.title)}", flush=True)
        try:
            delete(evidence, copy)
        except LineageError as error:
            left.append(str(error))
    if any(copy.kind == "tag" for copy in wanted.copies):
        beyond.compact(evidence)
    left += [] if accept_lost else wanted.unknown
    if not left:
        done = (path for path, ids in _noted(evidence) if ids <= set(wanted.ids))  # this one, and those it went on from
        for path in done:
            path.unlink()
    search = Search(wanted.ids)
    left += [*wanted.beyond, *beyond.in_database(evidence, search)]
    return left + [f"perhaps {what}: see yourself whether this means them" for what in wanted.maybe]


def by_subjects(begun: list[Plan]) -> list[list[Plan]]:
    """Erasures of the same subjects together."""
    found: dict[tuple[str, ...], list[Plan]] = {}
    for each in begun:
        found.setdefault(tuple(sorted(each.ids)), []).append(each)
    return list(found.values())


def resumed(evidence: Evidence, begun: list[Plan]) -> Plan:
    """How an erasure goes on: with what was noted, and what is found now. Raises as `plan` does.

    `begun` are erasures of the same subjects: where something came back, there is more than one.
    """
    again = plan(evidence, begun[0].ids)
    again.reason = begun[0].reason
    there, noted = {holder.md5 for holder in again.holders}, set[str]()
    for each in begun:
        again.copies += [copy for copy in each.copies if copy not in again.copies]  # versions below a deleted one
        lost = [holder for holder in each.missing if holder.md5 not in there and holder not in again.missing]
        again.unknown += [f"{holder.path} ({holder.md5}) is still not to be found, and held them" for holder in lost]
        again.missing += lost
        noted |= {holder.md5 for holder in each.named(accept_lost=False)}
    without = next((each for each in begun if not _is_buried(evidence, each)), None)
    if without or there <= noted:  # there is nothing that a tombstone does not name yet
        again.id = (without or begun[-1]).id
    return again


def _noted(evidence: Evidence) -> Iterator[tuple[Path, set[str]]]:
    for path in notes_folder(evidence).glob("*.json"):
        yield path, set(json.loads(path.read_text(encoding="utf-8"))["ids"])


def _is_buried(evidence: Evidence, wanted: Plan) -> bool:
    path = f"{FOLDER}/{wanted.id}/{TOMBSTONE}"
    return bool(Repository(evidence.root).lines("log", "--max-count=1", "--format=%H", "--", path))


def _write_tombstone(evidence: Evidence, wanted: Plan, *, accept_lost: bool) -> None:
    """Writes the tombstone and what is left of the manifests, and commits both. Once for each erasure."""
    folder = evidence.root / FOLDER / wanted.id
    git = Repository(evidence.root)
    named = wanted.named(accept_lost=accept_lost)
    if not named or _is_buried(evidence, wanted):
        return
    manifests = folder / MANIFESTS
    manifests.mkdir(parents=True, exist_ok=True)
    datasets = [
        _redact(evidence, md5, wanted.ids, manifests / f"{md5.removesuffix('.dir')}.parquet")
        for md5 in sorted({holder.folder for holder in named if holder.role is Role.DATASET})
    ]
    kept = []
    if datasets:
        _dvc(evidence.root, "add", "--quiet", f"{FOLDER}/{wanted.id}/{MANIFESTS}")
        upload_path(evidence.objects, manifests, hash_path(manifests))
        kept = [f"{FOLDER}/{wanted.id}/{MANIFESTS}.dvc", f"{FOLDER}/{wanted.id}/.gitignore"]
    tombstone = {
        "schema": SCHEMA,
        "id": wanted.id,
        "moment": datetime.now(UTC).isoformat(timespec="seconds"),
        "reason": wanted.reason,
        "objects": _listed({holder.md5: holder.path for holder in named}),
        "not_found": _listed(
            wanted.nowhere | ({} if accept_lost else {each.md5: each.path for each in wanted.missing})
        ),
        "datasets": [dataset for dataset in datasets if dataset["keys"]],
        "models": [name.partition(" ")[0] for name in wanted.models],
    }
    parse(json.dumps(tombstone).encode(), wanted.id)  # a reason may be too long
    _write(folder / TOMBSTONE, tombstone)
    paths = [f"{FOLDER}/{wanted.id}/{TOMBSTONE}", *kept]
    git.must("add", "--force", "--", *paths)
    git.must("commit", "--quiet", "--no-verify", "--message", f"Erasure {wanted.id}", "--only", "--", *paths)


def _redact(evidence: Evidence, md5: str, ids: list[str], target: Path) -> dict[str, Any]:
    """Writes the manifest of a dataset version without some subjects. Returns what its tombstone says."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from ..records.layout import MANIFEST

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


def _listed(objects: dict[str, str]) -> list[dict[str, str]]:
    return [{"md5": md5, "path": path} for md5, path in sorted(objects.items())]


def _write(path: Path, document: dict[str, Any]) -> None:
    write_whole(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _dvc(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LineageError(f"`dvc {' '.join(arguments)}` failed: {done.stderr.strip().splitlines()[-1]}")
