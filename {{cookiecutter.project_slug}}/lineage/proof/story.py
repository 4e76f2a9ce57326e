"""What a page tells beside the chain: parameters against their defaults, the version before, decisions, the card."""

from __future__ import annotations

import re
import tempfile
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
from ..settings import flatten
from .before import Before, compare, counts_in
from .case import Evidence, ModelCase
from .counted import Counted, LeftOut, count_raw, left_out
from .endpoints import endpoints_in

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
class Story:
    """All of it, for one model."""

    raw: Counted
    kept: dict[str, int] | None  # records of the dataset version by split
    subjects: dict[str, int] | None
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
    kept, subjects = (counts_in(chain["dataset"][what]) for what in ("records", "subjects"))
    defaults, unknown = defaults_at(case.evidence, commit) if commit else ({}, "no commit holds this model")
    return Story(
        raw=raw,
        kept=kept,
        subjects=subjects,
        left_out=left_out(raw, kept, values, asked_consent=asked),
        source={key.removeprefix("data.source."): value for key, value in values.items() if key.startswith("data.sou")},
        parameters=[_parameter(key, value, None if unknown else defaults) for key, value in values.items()],
        defaults=unknown,
        before=compare(case, chain, recorded),
        decisions=_decisions(case, tags),
        endpoints=endpoints_in(tags),
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
        found[-1]["since"] = _since(case, found[-1]["alias"])
    return found


def _since(case: ModelCase, alias: str) -> str:
    """What became of an alias that a decision gave a version: empty while the version has it by the last decision."""
    assert case.version is not None
    line = case.evidence.decisions.line(case.version.name, alias)
    if wrong := [*line.faults, *line.elsewhere]:
        return f"who has it is in doubt: {wrong[0]}"
    if line.last is None or (line.now and line.now.number == str(case.version.version)):
        return ""
    to = f"gives it to version {line.now.number}" if line.now else "takes it away"
    reason = f": {line.last.document.reason}" if line.last.document.reason else ""
    return f"it does not have it any more: {line.last.path} {to}{reason}"


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
