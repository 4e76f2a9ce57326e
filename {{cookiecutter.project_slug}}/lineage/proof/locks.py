"""The entries of any number of dvc.lock files: what is in all of them alike is parsed once."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from typing import Any

import yaml

from ..base.yaml12 import parse_yaml
from ..contract import Role
from ..git.roles import Roles

HEAD = b"schema: '2.0'\nstages:\n"
STAGE = re.compile(rb"^  (?=\S)", re.MULTILINE)
NAME = re.compile(rb"([\w@.-]+):\n")
SHALLOW = re.compile(rb"^(?! {4}).", re.MULTILINE)  # in an entry, such a line is not as DVC writes it
ODD_BREAK = re.compile(rb"\r|\xc2\x85|\xe2\x80[\xa8\xa9]")  # these end lines to YAML
OUTS = re.compile(rb"^    outs:\n((?: {4}.*\n?)*)", re.MULTILINE)
PATH = re.compile(rb"^    - path: (.+)$", re.MULTILINE)
URI = re.compile(rb"^ {6,}uri: (.+)$", re.MULTILINE)
# stages that make just these, and reports, leave no model
NO_MODEL = (Role.DATASET, Role.PROFILE, Role.SCORES, Role.PREDICTIONS, Role.CHAIN)

Entry = dict[str, Any]
Entries = list[tuple[str, Entry]]


class Locks:
    """Reads them. One that is not written as DVC writes it is parsed as a whole."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._parsed: dict[bytes, Entries | None] = {}

    def entries(self, data: bytes) -> Entries | None:
        """The entries of a dvc.lock that matter. Each distinct one is parsed once: there may be thousands of files."""
        parts = STAGE.split(data[len(HEAD) :]) if data.startswith(HEAD) and not ODD_BREAK.search(data) else [b"?"]
        names = [NAME.match(part) for part in parts[1:]]
        usual = not parts[0] and all(
            name and not SHALLOW.search(part, name.end()) for name, part in zip(names, parts[1:], strict=True)
        )
        if not usual:
            return whole(data)
        found = []
        stages = [(name[1].decode(), part) for name, part in zip(names, parts[1:], strict=True) if name]
        usual_stages = {stage for stage, part in stages if self._is_usual(stage, part)}
        scored = {stage for stage in usual_stages if self._roles.makes(stage, Role.SCORES)}
        registered = {stage for stage in usual_stages if self._roles.makes(stage, Role.CHAIN)} - scored
        others = [part for stage, part in stages if stage not in scored | registered]
        if any(path.encode() in part for part in others for path in self._roles.paths(Role.PREDICTIONS)):
            scored = set()  # whoever learns from predictions rests on the records that they are about
        for stage, part in stages:
            if stage in scored:
                continue
            if stage in registered:
                if uri := URI.search(part):
                    found.append((stage, {"uri": uri[1].decode(errors="replace").strip().strip("'\"")}))
                continue
            if part not in self._parsed:
                self._parsed[part] = whole(HEAD + b"  " + part)
            entries = self._parsed[part]
            if entries is None:
                return whole(data)
            found += entries
        return found

    def _is_usual(self, stage: str, part: bytes) -> bool:
        outs = OUTS.search(part)
        return self._leaves_no_model(
            stage, [path.decode(errors="replace") for path in PATH.findall(outs[1] if outs else b"")]
        )

    def leaves_no_model(self, stage: str, entry: Entry) -> bool:
        """Whether a stage makes dataset versions, scores or the chain by its role, and has left nothing else."""
        return self._leaves_no_model(stage, [str(out.get("path")) for out in entry.get("outs") or []])

    def _leaves_no_model(self, stage: str, paths: list[str]) -> bool:
        made = [role for role in NO_MODEL if self._roles.makes(stage, role)]
        usual = self._roles.reports.union(*map(self._roles.paths, made))
        return bool(made) and usual.issuperset(paths)

    def rests_on(self, name: str, entry: Entry, entries: Entries) -> tuple[set[str], list[str]]:
        """The dataset versions that a stage works with, itself or by what other stages of one's own made of them."""
        kept, raw = self._roles.paths(Role.DATASET), self._roles.paths(Role.RAW)
        predictions, profiles = self._roles.paths(Role.PREDICTIONS), self._roles.paths(Role.PROFILE)
        makers = {
            _place(out): other
            for stage, other in entries
            for out in other.get("outs") or []
            if not self.leaves_no_model(stage, other) or _place(out) in predictions
        }
        datasets, unknown, seen, waiting = set[str](), list[str](), set[str](), [entry]
        while waiting:
            for dep in waiting.pop().get("deps") or []:
                path, md5 = _place(dep), str(dep.get("md5"))
                if path in kept:
                    datasets.add(md5)
                elif path == "." or any(each.startswith(f"{path}/") for each in kept | raw):
                    unknown.append(f"it reads {path}, a folder that dataset versions lie in")
                elif any(path.startswith(f"{each}/") for each in kept):
                    unknown.append(f"it reads {path}, a part of a dataset version")
                elif any(f"{path}/".startswith(f"{each}/") for each in raw):
                    unknown.append(f"it reads {path}: no manifest says whose records these are")
                elif path in profiles:  # numbers of all records: whatever is made of it rests on them
                    found = _made_with(entries, path, md5, kept)
                    datasets |= found
                    unknown += [] if found else [f"it reads {path}, and nothing says of which dataset version"]
                elif path in makers and path not in seen and makers[path] is not entry:
                    seen.add(path)
                    if path not in self._roles.reports:
                        waiting.append(makers[path])
        if self._roles.makes(name, Role.MODEL) and not datasets and not unknown:
            unknown.append("its entry in dvc.lock names no dataset version")
        return datasets, list(dict.fromkeys(unknown))


def whole(data: bytes) -> Entries | None:
    """The entries of any dvc.lock; None if it cannot be read."""
    try:
        document = parse_yaml(data)
    except yaml.YAMLError:
        return None
    if document is None:
        return []
    stages = document.get("stages") if isinstance(document, dict) else None
    if stages is None:
        return [] if isinstance(document, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(entry, dict) for entry in stages.values()):
        return None
    return [(str(name), entry) for name, entry in stages.items()]


def uri_of(entry: Entry) -> str | None:
    """The MLflow store that an entry of `register` names."""
    if "uri" in entry:
        return str(entry["uri"])
    for values in (entry.get("params") or {}).values():
        tracking = (values or {}).get("tracking")
        if isinstance(tracking, dict):
            return tracking.get("uri")
    return None


def _place(item: Entry) -> str:
    """The path of a dependency or output; with `wdir` it is written relative to that, and leads out of it again."""
    path = posixpath.normpath(str(item.get("path")))
    while path.startswith("../"):
        path = path[3:]
    return path


def _made_with(entries: Entries, path: str, md5: str, kept: Collection[str]) -> set[str]:
    """The dataset versions that came out of the same execution as a file."""
    outs = [{_place(out): str(out.get("md5")) for out in entry.get("outs") or []} for _, entry in entries]
    return {found for each in outs if each.get(path) == md5 for name, found in each.items() if name in kept}
