"""Every model that Git holds, whatever MLflow says or has forgotten: by dvc.lock, and by lineage.json.

A model is an entry of `train` in dvc.lock, or of a stage of one's own that works with records or starts from a model.
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

import yaml

from ..lineage.facts import DATASET, MODEL, RAW
from ..lineage.hashes import sha256_of_json
from ..pipeline.dvcfile import PARAMS_FILE, locked_hash
from ..pipeline.yaml12 import parse_yaml
from .history import DVC_LOCK, History

HEAD = b"schema: '2.0'\nstages:\n"
STAGE = re.compile(rb"^  (?=\S)", re.MULTILINE)
NAME = re.compile(rb"([\w@.-]+):\n")
SHALLOW = re.compile(rb"^(?! {4}).", re.MULTILINE)  # in an entry, such a line is not as DVC writes it
ODD_BREAK = re.compile(rb"\r|\xc2\x85|\xe2\x80[\xa8\xa9]")  # these end lines to YAML
URI = re.compile(rb"^ {6,}uri: (.+)$", re.MULTILINE)
HASH = re.compile(rb"[0-9a-f]{32}")
OURS = ("preprocess", "evaluate", "register")  # they leave no model

Entry = dict[str, Any]
Entries = list[tuple[str, Entry]]
NO_RECORDS = (".checks/", "metrics/", "plots/")  # what these hold comes from models, and no record is in it


@dataclass
class GitModel:
    """One model as dvc.lock or lineage.json records it."""

    identity: str
    stage: str
    entry: Entry
    datasets: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)  # why it cannot be told what it rests on
    commits: list[str] = field(default_factory=list)  # that gave a file a content with it, oldest first
    first: datetime | None = None  # when the first of them was made, or dvc.lock here was written

    @property
    def title(self) -> str:
        """What it is called in answers, for it may have no name."""
        what = "model" if self.stage == "train" else f"result of stage {self.stage}:"
        return (
            f"{what} {self.identity[:12]} at {self.commits[0][:12] if self.commits else 'dvc.lock here, not committed'}"
        )

    def out(self, path: str) -> str | None:
        """The hash of an output that the entry records."""
        return locked_hash(self.entry, "outs", path)


class GitModels:
    """All of them, read once. `unreadable` names states that hold something which no other state holds."""

    def __init__(self, history: History, root: Path) -> None:
        self._history = history
        self._root = root
        self._parsed: dict[bytes, Entries | None] = {}
        self.models: dict[str, GitModel] = {}
        self.documents: list[dict[str, Any]] = []  # each lineage.json that there ever was, once
        self.made: set[str] = set()  # dataset versions that preprocess made
        self.uris: dict[
            str, str
        ] = {}  # stores that dvc.lock or lineage.json names, each with the commit that does first
        self.unreadable: list[str] = []
        self._read()
        self._add_stores_of_unregistered()

    @cached_property
    def by_run_record(self) -> dict[str, GitModel]:
        """The models by the hash of their models/run.json, which no two trainings have in common."""
        found = {model.out("models/run.json"): model for model in self.models.values()}
        return {md5: model for md5, model in found.items() if md5}

    @cached_property
    def by_weights(self) -> dict[str, list[GitModel]]:
        """The models by the MD5 of their weights, and by their SHA-256 where lineage.json states it."""
        found: dict[str, list[GitModel]] = {}
        for model in self.models.values():
            for out in model.entry.get("outs") or []:
                if out.get("path") == MODEL or model.stage != "train":
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
        self._read_here()

    def _read_here(self) -> None:
        path = self._root / DVC_LOCK
        with suppress(OSError):
            data = path.read_bytes()
            known = self._lock(data, "dvc.lock here")
            if known is None:
                self.unreadable.append("dvc.lock here cannot be read")
            self._place(known or [], None, datetime.fromtimestamp(path.stat().st_mtime, UTC))

    def _place(self, identities: Iterable[str], commit: str | None, when: datetime) -> None:
        for identity in identities:
            model = self.models[identity]
            model.first = model.first or when
            if commit and commit not in model.commits:
                model.commits.append(commit)

    def _lock(self, data: bytes, commit: str) -> list[str] | None:
        """The identities of the models of a dvc.lock; None if it cannot be read."""
        entries = self._entries(data)
        if entries is None:
            return None
        found = []
        for name, entry in entries:
            if name == "preprocess":
                self.made |= {str(out.get("md5")) for out in entry.get("outs") or [] if out.get("path") == DATASET}
            elif name == "register":
                self._name_store(_uri(entry), commit)
            elif name not in OURS:
                datasets, unknown = _rests_on(name, entry, entries)
                if name == "train" or datasets or unknown:
                    identity = sha256_of_json(entry)
                    model = self.models.setdefault(identity, GitModel(identity, name, entry, set(), unknown))
                    model.datasets |= datasets
                    found.append(identity)
        return found

    def _entries(self, data: bytes) -> Entries | None:
        """The entries of a dvc.lock that matter. Each distinct one is parsed once: there may be thousands of files."""
        parts = STAGE.split(data[len(HEAD) :]) if data.startswith(HEAD) and not ODD_BREAK.search(data) else [b"?"]
        names = [NAME.match(part) for part in parts[1:]]
        usual = not parts[0] and all(
            name and not SHALLOW.search(part, name.end()) for name, part in zip(names, parts[1:], strict=True)
        )
        if not usual:
            return _whole(data)
        found = []
        for name, part in zip(names, parts[1:], strict=True):
            assert name is not None
            stage = name[1].decode()
            if stage == "evaluate":
                continue
            if stage == "register":
                if uri := URI.search(part):
                    found.append((stage, {"uri": uri[1].decode(errors="replace").strip().strip("'\"")}))
                continue
            if part not in self._parsed:
                self._parsed[part] = _whole(HEAD + b"  " + part)
            entries = self._parsed[part]
            if entries is None:
                return _whole(data)
            found += entries
        return found

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
        outs = [{"path": MODEL, "md5": document["model"].get("md5")}]
        self.models.setdefault(
            identity, GitModel(identity, "train", {"outs": outs}, {str(dataset)} if dataset else set())
        )
        return [identity]

    def _name_store(self, uri: str | None, commit: str) -> None:
        if uri:
            self.uris.setdefault(str(uri), commit)

    def _add_stores_of_unregistered(self) -> None:
        """Adds the stores of models that no lineage.json speaks of, by params.yaml of their first commit."""
        registered = {str(document["model"].get("identity")) for document in self.documents}
        for model in self.models.values():
            if model.identity not in registered and model.commits:
                params = self._history.params(model.commits[0], PARAMS_FILE)
                self._name_store((params.get("tracking") or {}).get("uri"), model.commits[0])


def _whole(data: bytes) -> Entries | None:
    try:
        document = parse_yaml(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if document is None:
        return []
    stages = document.get("stages") if isinstance(document, dict) else None
    if stages is None:
        return [] if isinstance(document, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(entry, dict) for entry in stages.values()):
        return None
    return [(str(name), entry) for name, entry in stages.items()]


def _uri(entry: Entry) -> str | None:
    if "uri" in entry:
        return str(entry["uri"])
    for values in (entry.get("params") or {}).values():
        tracking = (values or {}).get("tracking")
        if isinstance(tracking, dict):
            return tracking.get("uri")
    return None


def _rests_on(name: str, entry: Entry, entries: Entries) -> tuple[set[str], list[str]]:
    """The dataset versions that a stage works with, itself or by what other stages of one's own made of them."""
    makers = {
        str(out.get("path")): other for stage, other in entries if stage not in OURS for out in other.get("outs") or []
    }
    datasets, unknown, seen, waiting = set[str](), list[str](), set[str](), [entry]
    while waiting:
        for dep in waiting.pop().get("deps") or []:
            path, md5 = str(dep.get("path")), str(dep.get("md5"))
            if path == DATASET or path.startswith(f"{DATASET}/"):
                if path == DATASET:
                    datasets.add(md5)
                else:
                    unknown.append(f"it reads {path}, a part of a dataset version")
            elif path == RAW or path.startswith(f"{RAW}/"):
                unknown.append(f"it reads {path}: no manifest says whose records these are")
            elif path in makers and path not in seen and makers[path] is not entry:
                seen.add(path)
                if not path.startswith(NO_RECORDS):
                    waiting.append(makers[path])
    if name == "train" and not datasets and not unknown:
        unknown.append("its entry in dvc.lock names no dataset version")
    return datasets, list(dict.fromkeys(unknown))
