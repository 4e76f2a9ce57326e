"""The entries of any number of dvc.lock files: what is in all of them alike is parsed once."""

from __future__ import annotations

import posixpath
import re
from typing import Any

import yaml

from ..lineage.facts import DATASET, RAW
from ..pipeline.yaml12 import parse_yaml

HEAD = b"schema: '2.0'\nstages:\n"
STAGE = re.compile(rb"^  (?=\S)", re.MULTILINE)
NAME = re.compile(rb"([\w@.-]+):\n")
SHALLOW = re.compile(rb"^(?! {4}).", re.MULTILINE)  # in an entry, such a line is not as DVC writes it
ODD_BREAK = re.compile(rb"\r|\xc2\x85|\xe2\x80[\xa8\xa9]")  # these end lines to YAML
OUTS = re.compile(rb"^    outs:\n((?: {4}.*\n?)*)", re.MULTILINE)
PATH = re.compile(rb"^    - path: (.+)$", re.MULTILINE)
URI = re.compile(rb"^ {6,}uri: (.+)$", re.MULTILINE)
# what the stages that leave no model leave; with more outputs they count like a stage of one's own
OURS = {"preprocess": (DATASET,), "evaluate": (), "register": ("lineage.json",)}
NO_RECORDS = (".checks/", "metrics/", "plots/")  # what these hold comes from models, and no record is in it

Entry = dict[str, Any]
Entries = list[tuple[str, Entry]]


class Locks:
    """Reads them. One that is not written as DVC writes it is parsed as a whole."""

    def __init__(self) -> None:
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
        for name, part in zip(names, parts[1:], strict=True):
            assert name is not None
            stage = name[1].decode()
            is_usual = _is_usual(stage, part)
            if is_usual and stage == "evaluate":
                continue
            if is_usual and stage == "register":
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


def _is_usual(stage: str, part: bytes) -> bool:
    outs = OUTS.search(part)
    paths = PATH.findall(outs[1]) if outs else []
    return stage in OURS and all(_leaves_no_model(stage, path.decode(errors="replace")) for path in paths)


def is_ours(stage: str, entry: Entry) -> bool:
    """Whether a stage of the template has left just what it leaves, and no model."""
    return stage in OURS and all(_leaves_no_model(stage, str(out.get("path"))) for out in entry.get("outs") or [])


def _leaves_no_model(stage: str, path: str) -> bool:
    return path in OURS[stage] or path.startswith(NO_RECORDS)


def whole(data: bytes) -> Entries | None:
    """The entries of any dvc.lock; None if it cannot be read."""
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


def uri_of(entry: Entry) -> str | None:
    """The MLflow store that an entry of `register` names."""
    if "uri" in entry:
        return str(entry["uri"])
    for values in (entry.get("params") or {}).values():
        tracking = (values or {}).get("tracking")
        if isinstance(tracking, dict):
            return tracking.get("uri")
    return None


def rests_on(name: str, entry: Entry, entries: Entries) -> tuple[set[str], list[str]]:
    """The dataset versions that a stage works with, itself or by what other stages of one's own made of them."""
    makers = {
        _place(out): other for stage, other in entries if not is_ours(stage, other) for out in other.get("outs") or []
    }
    datasets, unknown, seen, waiting = set[str](), list[str](), set[str](), [entry]
    while waiting:
        for dep in waiting.pop().get("deps") or []:
            path, md5 = _place(dep), str(dep.get("md5"))
            if path == "." or any(kept.startswith(f"{path}/") for kept in (DATASET, RAW)):
                unknown.append(f"it reads {path}, a folder that dataset versions lie in")
            elif path == DATASET or path.startswith(f"{DATASET}/"):
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


def _place(item: Entry) -> str:
    """The path of a dependency or output; with `wdir` it is written relative to that, and leads out of it again."""
    path = posixpath.normpath(str(item.get("path")))
    while path.startswith("../"):
        path = path[3:]
    return path
