"""Every model that Git holds, whatever MLflow says or has forgotten: by dvc.lock, and by lineage.json.

A model is an entry in dvc.lock of a stage that makes one by its role, or of a stage of one's own that works with
records or starts from a model.
It counts in every commit that a ref, a tag, an experiment, a stash or the reflog leads to, and in the dvc.lock here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ..contract import Role
from ..dvc.dvcfile import DVC_LOCK, PARAMS_FILE, locked_hash
from ..dvc.hashes import sha256_of_json
from ..git.history import History
from ..settings import read_params
from .locks import Entry, Locks, uri_of

HASH = re.compile(rb"[0-9a-f]{32}")


@dataclass
class GitModel:
    """One model as dvc.lock or lineage.json records it."""

    identity: str
    stage: str
    is_trained: bool  # by a stage that makes the model by its role, not by one of one's own
    entry: Entry
    datasets: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)  # why it is unknown what it rests on
    commits: list[str] = field(default_factory=list)  # that gave a file a content with it, oldest first
    first: datetime | None = None  # when the first of them was made, or dvc.lock here was written

    @property
    def title(self) -> str:
        """What it is called in answers, for it may have no name."""
        what = "model" if self.is_trained else f"result of stage {self.stage}:"
        return (
            f"{what} {self.identity[:12]} at {self.commits[0][:12] if self.commits else 'dvc.lock here, not committed'}"
        )

    def out(self, paths: Iterable[str]) -> str | None:
        """The hash of the first of these outputs that the entry records."""
        return next(filter(None, (locked_hash(self.entry, "outs", path) for path in paths)), None)


class GitModels:
    """All of them, read once. `unreadable` names states that hold something which no other state holds."""

    def __init__(self, history: History, root: Path) -> None:
        self._history = history
        self._root = root
        self._locks = Locks(history.roles)
        self._dataset_paths = history.roles.paths(Role.DATASET)
        self.weights, self.run_records = history.roles.paths(Role.MODEL), history.roles.paths(Role.RUN)
        self.models: dict[str, GitModel] = {}
        self.documents: list[dict[str, Any]] = []  # each lineage.json that there ever was, once
        self.made: set[str] = set()  # dataset versions
        self.uris: dict[
            str, str
        ] = {}  # stores that dvc.lock or lineage.json names, each with the commit that does first
        self.unreadable: list[str] = []
        self._others: dict[str, GitModel] = {}  # results of stages of one's own that seem to read no records
        self._read()
        self._add_copies()
        self._add_stores_of_unregistered()

    @cached_property
    def by_run_record(self) -> dict[str, list[GitModel]]:
        """The models by the hash of what their training wrote down. No two share one: where two do, both count."""
        found: dict[str, list[GitModel]] = {}
        for model in self.models.values():
            if md5 := model.out(self.run_records):
                found.setdefault(md5, []).append(model)
        return found

    @cached_property
    def by_weights(self) -> dict[str, list[GitModel]]:
        """The models by the MD5 of their weights, and by their SHA-256 where lineage.json states it."""
        found: dict[str, list[GitModel]] = {}
        for model in self.models.values():
            for out in model.entry.get("outs") or []:
                if out.get("path") in self.weights or not model.is_trained:
                    found.setdefault(str(out.get("md5")), []).append(model)
        for document in self.documents:
            held = self.models.get(str(document["model"].get("identity")))
            if held is not None and (sha256 := document["model"].get("sha256")):
                found.setdefault(str(sha256), []).append(held)
        return found

    @cached_property
    def by_id(self) -> dict[str, GitModel]:
        """The models by the ids that MLflow gave: of the training run, and of the registered files."""
        found: dict[str, GitModel] = {}
        for document in self.documents:
            model = self.models.get(str(document["model"].get("identity")))
            run, logged = (document.get("training_run") or {}).get("run_id"), (document.get("artifact") or {})
            for name in (run, logged.get("model_id")):
                if model is not None and name:
                    found.setdefault(str(name), model)
        return found

    @cached_property
    def elsewhere(self) -> list[str]:
        """Another dvc.lock that names this project or a dataset version of it: what it records is not looked at."""
        if not self._history.other_locks:
            return []
        project_id = str(read_params(self._root / PARAMS_FILE)["project_id"])
        wanted = re.compile("|".join(map(re.escape, [project_id, *sorted(self.made)])).encode())
        found: dict[str, str] = {}
        for state in self._history.other_locks:
            if wanted.search(self._history.blob(state.blob) or b""):
                found.setdefault(state.path, state.commit)
        return [
            f"{path} (at {commit[:12]}) names records of this project, and only its own dvc.lock is looked at"
            for path, commit in found.items()
        ]

    def _read(self) -> None:
        torn: list[tuple[str, bytes]] = []
        hashes: set[bytes] = set()
        seen: dict[tuple[str, str], list[str]] = {}
        for moment, state in self._history.witnessed:
            when = datetime.fromtimestamp(moment, UTC)
            known = seen.get((state.path, state.blob))
            if known is None:
                data = self._history.blob(state.blob) or b""
                known = self._lock(data, state.commit) if state.path == DVC_LOCK else self._document(data, state.commit)
                if known is None:
                    torn.append((f"{state.path} at {state.commit[:12]}", data))
                    known = []
                elif state.path == DVC_LOCK:
                    hashes.update(HASH.findall(data))
                seen[state.path, state.blob] = known
            self._place(known, state.commit, when)
        for where, data in torn:  # of a conflict that was committed, each side is in its own commit
            if set(HASH.findall(data)) - hashes:
                self.unreadable.append(f"{where} cannot be read, and names what no other commit does")
        self._read_uncommitted(self._root, "dvc.lock here")
        for place in self._history.worktrees:
            self._read_uncommitted(place, f"{DVC_LOCK} in the worktree {place}")

    def _read_uncommitted(self, folder: Path, name: str) -> None:
        path = folder / DVC_LOCK
        with suppress(OSError):
            data = path.read_bytes()
            known = self._lock(data, name)
            if known is None:
                self.unreadable.append(f"{name} cannot be read")
            self._place(known or [], None, datetime.fromtimestamp(path.stat().st_mtime, UTC))

    def _place(self, identities: Iterable[str], commit: str | None, when: datetime) -> None:
        for identity in identities:
            model = self.models.get(identity) or self._others[identity]
            model.first = model.first or when
            if commit and commit not in model.commits:
                model.commits.append(commit)

    def _lock(self, data: bytes, commit: str) -> list[str] | None:
        """The identities of the models of a dvc.lock; None if it cannot be read."""
        entries = self._locks.entries(data)
        if entries is None:
            return None
        found = []
        for name, entry in entries:
            outs = entry.get("outs") or []
            self.made |= {str(out.get("md5")) for out in outs if out.get("path") in self._dataset_paths}
            if self._history.roles.makes(name, Role.CHAIN):
                self._name_store(uri_of(entry), commit)
            if not self._locks.leaves_no_model(name, entry):
                datasets, unknown = self._locks.rests_on(name, entry, entries)
                is_trained = self._history.roles.makes(name, Role.MODEL)
                kept = self.models if is_trained or datasets or unknown else self._others
                identity = sha256_of_json(entry)
                model = kept.setdefault(identity, GitModel(identity, name, is_trained, entry))
                # lineage.json may have been first, and says less
                model.stage, model.is_trained, model.entry, model.unknown = name, is_trained, entry, unknown
                model.datasets |= datasets
                found.append(identity)
        return found

    def _add_copies(self) -> None:
        """A dataset version is one under whatever name it lies: what was given its bytes was made from it."""
        for identity, model in {**self._others, **self.models}.items():
            hashes = {str(dep.get("md5")) for dep in model.entry.get("deps") or []}
            if copies := hashes & self.made:
                model.datasets |= copies
                self.models[identity] = model

    def _document(self, data: bytes, commit: str) -> list[str] | None:
        """The identity of the model of a lineage.json; None if it cannot be read."""
        try:
            document = json.loads(data)
        except ValueError:
            return None
        if not isinstance(document, dict) or not isinstance(document.get("model"), dict):
            return []
        self.documents.append(document)
        for section in ("model", "training_run"):
            self._name_store((document.get(section) or {}).get("tracking_uri"), commit)
        identity, dataset = str(document["model"].get("identity")), (document.get("dataset") or {}).get("md5")
        outs = [{"path": path, "md5": document["model"].get("md5")} for path in self.weights]
        datasets = {str(dataset)} if dataset else set()
        self.models.setdefault(identity, GitModel(identity, "training", True, {"outs": outs}, datasets))
        return [identity]

    def _name_store(self, uri: str | None, commit: str) -> None:
        if uri:
            self.uris.setdefault(str(uri), commit)

    def _add_stores_of_unregistered(self) -> None:
        """Adds the stores of models that no lineage.json names, by params.yaml of their first commit."""
        registered = {str(document["model"].get("identity")) for document in self.documents}
        for model in self.models.values():
            if model.identity not in registered and model.commits:
                params = self._history.at(model.commits[0]).params(PARAMS_FILE)
                self._name_store((params.get("tracking") or {}).get("uri"), model.commits[0])
