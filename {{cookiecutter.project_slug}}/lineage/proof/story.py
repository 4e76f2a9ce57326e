"""What a page tells beside the chain: parameters against their defaults, the version before, decisions, the card."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.errors import ProjectError
from ..base.strict_json import parse
from ..chain.composition import CONF, composed_defaults
from ..chain.document import model_parameters
from ..contract import Role
from ..dvc.dvcfile import PARAMS_FILE
from ..dvc.recorded import READ, Recorded
from ..settings import flatten
from .case import Evidence, ModelCase
from .counted import Counted, LeftOut, count_raw, left_out
from .dataset import describe

ENDPOINT = "endpoint"  # tag of a version: the names of the endpoints that serve it, separated by commas
DECISION = "_decision"  # what a tag of a version ends in that names the file of a decision; behind it, its SHA-256
DECISION_FILE = re.compile(r"promotions/[^\0\n]+\.json")
NO_DEFAULT = object()  # the setting is not in conf/


@dataclass(frozen=True)
class Parameter:
    """A setting that the model was made with. `default` is NO_DEFAULT or its value in conf/."""

    key: str
    value: Any
    default: Any = None
    differs: bool = False

    @property
    def has_default(self) -> bool:
        """Whether conf/ has the setting at all."""
        return self.default is not NO_DEFAULT


@dataclass(frozen=True)
class Change:
    """What one version has otherwise than the one before; None: it has no such thing."""

    what: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Before:
    """The version before, and what changed since. Where it cannot be compared, `unknown` says why."""

    title: str | None
    unknown: str = ""
    same: tuple[str, ...] = ()
    changes: Mapping[str, tuple[Change, ...]] | None = None  # by section; what did not change is not in it
    files: tuple[str, ...] = ()  # inputs of the stages, beside data, that are others


@dataclass(frozen=True)
class Story:
    """All of it, for one model."""

    raw: Counted
    left_out: list[LeftOut]
    source: dict[str, Any]
    parameters: list[Parameter]
    defaults: str  # why the defaults are unknown; empty if they are known
    before: Before
    decisions: list[dict[str, Any]]
    endpoints: list[str]
    card: str  # Markdown, as the registry has it


def story_of(case: ModelCase, chain: dict[str, Any]) -> Story:
    """What there is to tell of a model, from what `chain_of` found of it."""
    tags = case.version.tags if case.version else {}
    commit = (chain["result_commit"] or {}).get("id") if (chain["result_commit"] or {}).get("found") else None
    recorded = case.history.at(commit).recorded if commit else None
    values = flatten(model_parameters(recorded)) if recorded else {}
    asked = recorded is not None and recorded.md5(Role.CONSENT) is not None
    raw = count_raw(case.evidence.objects, chain["raw"]["md5"], recorded.md5(Role.CONSENT) if recorded else None)
    defaults, unknown = defaults_at(case.evidence, commit) if commit else ({}, "no commit holds this model")
    return Story(
        raw=raw,
        left_out=left_out(raw, chain["dataset"]["records"], values, asked_consent=asked),
        source={key.removeprefix("data.source."): value for key, value in values.items() if key.startswith("data.sou")},
        parameters=[_parameter(key, value, None if unknown else defaults) for key, value in values.items()],
        defaults=unknown,
        before=_before(case, chain, recorded),
        decisions=_decisions(case, tags),
        endpoints=[name.strip() for name in (tags.get(ENDPOINT) or "").split(",") if name.strip()],
        card=(case.version.description or "") if case.version else "",
    )


def _parameter(key: str, value: Any, defaults: dict[str, Any] | None) -> Parameter:
    if defaults is None:
        return Parameter(key, value)
    default = defaults.get(key, NO_DEFAULT)
    same = value == default and isinstance(value, bool) == isinstance(default, bool)  # 1 is not true
    return Parameter(key, value, default, differs=not same)


def defaults_at(evidence: Evidence, commit: str) -> tuple[dict[str, Any], str]:
    """What conf/ of a commit gives without overrides, by dotted key; or why that is unknown."""
    tree = evidence.history.at(commit)
    try:
        files = tree.content(CONF)
        contents = {file.path: tree.read(f"{CONF}/{file.path}") or b"" for file in files or ()}
        if not contents:
            return {}, f"commit {commit[:12]} has no {CONF}/"
        return _composed(evidence.root, tuple(sorted(contents.items()))), ""
    except ProjectError as error:
        return {}, str(error)


@cache
def _composed(root: Path, files: tuple[tuple[str, bytes], ...]) -> dict[str, Any]:
    """Composed once for each content: most commits have the conf/ of the one before."""
    with tempfile.TemporaryDirectory() as scratch:
        conf = Path(scratch) / CONF
        for name, data in files:
            path = conf / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return composed_defaults(root, conf)


def _before(case: ModelCase, chain: dict[str, Any], recorded: Recorded | None) -> Before:
    """Compares with the version of the next lower number under the same name."""
    if case.version is None:
        return Before(None, "MLflow has no version of this model, so none is before it.")
    name, number = case.version.name, int(case.version.version)
    try:
        others = [each for each in case.evidence.store.versions if each.name == name and int(each.version) < number]
    except ProjectError as error:
        return Before(None, str(error))
    if not others:
        return Before(None)
    former = ModelCase(case.evidence, max(others, key=lambda each: int(each.version)))
    try:
        then = former.recorded
    except ProjectError as error:
        return Before(former.title, str(error))
    if recorded is None:
        return Before(former.title, "no commit holds this model")
    same = [what for what, role in SAME.items() if then.md5(role) == recorded.md5(role) is not None]
    changes = {
        "data": _changed(_data_of(case.evidence, then), _data_of(case.evidence, recorded)),
        "parameters": _changed(flatten(model_parameters(then)), flatten(model_parameters(recorded))),
        "scores": _changed(_scores_of(former), flatten(chain["metrics"] or {})),
    }
    return Before(
        former.title,
        same=tuple(same),
        changes={section: found for section, found in changes.items() if found},
        files=_other_files(then, recorded),
    )


SAME = {
    "raw data": Role.RAW,
    "consent snapshot": Role.CONSENT,
    "dataset version": Role.DATASET,
    "weights to start from": Role.PRETRAINED,
    "weights": Role.MODEL,
}


def _data_of(evidence: Evidence, recorded: Recorded) -> dict[str, Any]:
    """What is counted of the data that a model was trained on, with their hashes."""
    found: dict[str, Any] = {f"{what}, DVC hash": recorded.md5(role) for what, role in list(SAME.items())[:3]}
    raw = count_raw(evidence.objects, recorded.md5(Role.RAW), recorded.md5(Role.CONSENT))
    found["raw records"] = "unknown" if raw.records is None else raw.records
    try:
        described = describe(evidence.objects, recorded.md5(Role.DATASET) or "")
    except (ProjectError, LookupError, ValueError):
        return {**found, "dataset records and subjects": "unknown"}
    counted = {what: described.get(what) for what in ("records", "subjects")}
    found |= {f"{what} in {split}": count for what in counted for split, count in (counted[what] or {}).items()}
    return {**found, "classes": ", ".join(map(str, described.get("classes") or []))}


def _scores_of(case: ModelCase) -> dict[str, Any]:
    try:
        return flatten(case.document.get("metrics") or {})
    except ProjectError:
        return {}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> tuple[Change, ...]:
    keys = dict.fromkeys([*after, *before])
    pairs = ((key, before.get(key), after.get(key)) for key in keys)
    return tuple(Change(*pair) for pair in pairs if pair[1] != pair[2])


def _other_files(then: Recorded, now: Recorded) -> tuple[str, ...]:
    """The code and locks that the training and the stages upstream read, where their hash is another."""
    before, after = _inputs(then), _inputs(now)
    return tuple(path for path in dict.fromkeys([*after, *before]) if before.get(path) != after.get(path))


def _inputs(recorded: Recorded) -> dict[str, str]:
    of_data = {recorded.pipeline.path(role) for role in READ}
    entries = (recorded.lock.get(stage.name) or {} for stage in recorded.pipeline.of_model())
    found = {dep["path"]: str(dep.get("md5")) for entry in entries for dep in entry.get("deps") or []}
    return {path: md5 for path, md5 in found.items() if path not in {*of_data, CONF, PARAMS_FILE}}


def _decisions(case: ModelCase, tags: dict[str, str]) -> list[dict[str, Any]]:
    """The decisions that tags of the version name, each as the file in Git has it; `fault` says what is wrong with it.

    A tag can be set by anybody: what counts is the file, of the hash that the tag says, about this very model.
    """
    found = []
    for tag in sorted(name for name in tags if name.endswith(DECISION)):
        path, decision = tags[tag], dict[str, Any]()
        data = case.history.at("HEAD").read(path) if DECISION_FILE.fullmatch(path) else None
        try:
            read = parse(data or b"")
            decision = read if isinstance(read, dict) else {}
        except ValueError:
            pass
        about = decision.get("version") if isinstance(decision.get("version"), dict) else {}
        fault = ""
        if data is None:
            fault = "HEAD of this clone does not hold it"
        elif sha256(data).hexdigest() != tags.get(f"{tag}_sha256"):
            fault = "the file in Git has another SHA-256 than the tag says"
        elif (about or {}).get("identity") != tags.get("model_identity"):
            fault = "the file in Git is about another model"
        found.append({"alias": tag.removesuffix(DECISION), "path": path, "fault": fault, **_shown(decision, fault)})
    return found


def _shown(decision: dict[str, Any], fault: str) -> dict[str, Any]:
    """What a page shows of a decision; of one that is not believed, nothing."""
    read = {} if fault else decision
    shown = {key: read[key] for key in ("kind", "by", "at", "reason") if isinstance(read.get(key), str)}
    gates = [gate for gate in read.get("gates") or [] if isinstance(gate, dict)]
    accepted = [each for each in read.get("accepted") or [] if isinstance(each, dict)]
    return {
        **{key: shown.get(key) for key in ("kind", "by", "at", "reason")},
        "gates": [{key: str(gate.get(key)) for key in ("name", "state", "text")} for gate in gates],
        "accepted": [str(each.get("reason")) for each in accepted],
    }
