"""What may leave the project about a model. Every export is made of this and of nothing else.

A list of what is allowed, not of what is not: names of raw files, reasons that people wrote, salts, addresses of stores
and names of people stay, but for the account in the repository's address. What is not known is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..chain.card import card
from ..chain.leaving import settings_that_may_leave
from ..chain.packages import pins
from ..git.web import web_url

FOLDER_HASH = " Its SHA-256 is that of the JSON list of the [path, SHA-256] of its files, sorted by path."
MACHINE = ("device", "accelerator", "processor", "platform", "python", "torch", "threads", "processes")


@dataclass(frozen=True)
class Thing:
    """A file or a folder by content; `sha256` of a folder is that of the list of its files with their SHA-256."""

    path: str
    md5: str
    sha256: str
    size: int  # bytes

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(".dir")


@dataclass(frozen=True)
class Score:
    """One number of a group of scores, with its 95% interval where one was computed."""

    group: str  # "test", for example
    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Gate:
    """What was asked before a decision, and the answer."""

    name: str
    state: str


@dataclass(frozen=True)
class Decided:
    """A decision about an alias of this version. Who made it, and why, its commit says."""

    alias: str
    kind: str  # "promote" or "demote"
    at: datetime
    commit: str
    is_given: bool  # the version had the alias from then on; else it was taken from it
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Proved:
    """What `lineage verify` answered: of each link its name, its state, and how many things were looked at."""

    state: str
    at: datetime
    links: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Facts:
    """A model as its result commit holds it."""

    project_id: str
    name: str
    version: str | None  # its number in the registry
    identity: str
    commit: str  # the result commit
    committed: datetime
    data_commit: str | None
    data_committed: datetime | None
    data_version: str | None  # Git tags of the data
    repository: str | None  # for a browser
    framework: str | None  # its version at the result commit
    model: Thing
    dataset: Thing
    shards: tuple[Thing, ...]
    raw: Thing
    environment: Thing
    consent: Thing | None
    pretrained: Thing | None
    outputs: tuple[Thing, ...]  # what else came out of the training and the evaluation
    artifact: tuple[tuple[str, str, int], ...]  # path, SHA-256 and size of each registered file
    artifact_sha256: str | None
    classes: tuple[str, ...] | None  # None: they are names of subjects, or were not to be told
    class_count: int
    records: Mapping[str, int]  # by split
    subjects: Mapping[str, int | None]
    split_by: str | None  # what decided the splits: "hash" of the subject's id, or another word of dataset.json
    scores: tuple[Score, ...]
    worst_slice: Mapping[str, Any] | None  # of those large enough to say
    slice_count: int
    settings: Mapping[str, Any]
    packages: Mapping[str, str]  # version by name, of the lock, on the machine of the training
    machine: Mapping[str, Any]
    stage: str | None  # the name of the training in dvc.yaml
    run_id: str | None
    started: datetime | None  # of the training run
    ended: datetime | None
    limits: tuple[str, ...]
    decisions: tuple[Decided, ...] = ()
    proved: Proved | None = None
    made: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))  # when this was exported

    @property
    def uri(self) -> str:
        """What the registry calls the version, or the model where it has none."""
        return f"models:/{self.name}/{self.version}" if self.version else f"models:/{self.name}"

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name

    @property
    def splitting(self) -> str:
        """How the splits came about, in a sentence."""
        if self.split_by is None:
            return "How records were split is unknown here: the dataset version cannot be read."
        if self.split_by == "source":
            return "The source says which record is in which split; no subject is in two."
        together = " Equal images are in one split." if "duplicates" in self.split_by else ""
        return f"A salted hash of the subject's id decides the split, so that no subject is in two.{together}"

    @property
    def urn(self) -> str:
        """A name for the model in the whole world: that of its identity."""
        return f"urn:lineage:model:{self.identity}"


def facts_of(
    document: dict[str, Any],
    *,
    commit: str,
    committed: datetime,
    lock: str = "",
    withheld: frozenset[str] = frozenset(),
    **known: Any,
) -> Facts:
    """The facts in a lineage.json. `lock`: the text of requirements.lock at the commit; `known`: the other fields.

    `withheld`: names that must not leave. Where a class has one of them, no class is named.
    """
    model, data, record = document["model"], document["dataset"], document["training_run"]
    started = record.get("started_from") or {}
    machine = record.get("machine") or {}
    shown = card(document, model.get("version"), commit)
    artifact = document.get("artifact") or {}
    classes = tuple(map(str, data["classes"]))
    scores = tuple(_scores(shown["scores"]))
    with_slices = [group for group in shown["scores"].values() if group["slices"]]
    worst = next((group["worst"] for group in with_slices if group["worst"]), None)
    return Facts(
        project_id=document["project_id"],
        name=model["name"],
        version=model.get("version"),
        identity=model["identity"],
        commit=commit,
        committed=committed,
        repository=web_url(started.get("git_repo_url")),
        model=_thing(model),
        dataset=_thing(data),
        shards=tuple(_thing(file) for file in data["files"] if file["path"].startswith("shards/")),
        raw=_thing(document["raw"]),
        environment=_thing(document["environment"]),
        consent=_thing(document["consent"]) if document.get("consent") else None,
        pretrained=_thing(document["pretrained"]) if document.get("pretrained") else None,
        outputs=tuple(map(_thing, document["outputs"])),
        artifact=tuple((file["path"], file["sha256"], file["size"]) for file in artifact.get("files") or []),
        artifact_sha256=artifact.get("sha256"),
        classes=None if withheld & {*classes} else classes,
        class_count=len(classes),
        records=dict(data["records"]),
        subjects=dict(data["subjects_by_split"]),
        scores=scores,
        worst_slice=worst if worst and worst["low"] is not None and not withheld & {*_parts(worst["name"])} else None,
        slice_count=sum(group["slices"] for group in with_slices),
        settings=settings_that_may_leave(document),
        packages=pins(lock, machine.get("markers")) if machine.get("markers") else {},
        machine={key: machine[key] for key in MACHINE if machine.get(key) is not None},
        run_id=record.get("run_id"),
        limits=tuple(_limits(shown["limits"], document.get("pretrained"))),
        **{**UNKNOWN, **known},
    )


def names_in(document: dict[str, Any]) -> set[str]:
    """The classes and slices of a lineage.json: names that come from the data, and may be those of people."""
    groups = [found for found in document["metrics"].values() if isinstance(found, dict)]
    slices = [part for found in groups for name in found.get("slices") or {} for part in _parts(name)]
    return {*map(str, document["dataset"]["classes"]), *slices}


UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("data_commit", "data_committed", "data_version", "framework", "stage", "split_by", "started", "ended")
)


def _thing(stated: dict[str, Any]) -> Thing:
    return Thing(stated["path"], stated["md5"], stated["sha256"], stated["size"])


def _limits(limits: list[str], pretrained: dict[str, Any] | None) -> list[str]:
    """Those of the card, without the address of the weights, and without the last: it asks a person to write more."""
    if pretrained is None:
        return limits[:-1]
    started = f"Training started from other weights, SHA-256 {pretrained['sha256']}; their data are not known here."
    return [started if str(pretrained["url"]) in limit else limit for limit in limits[:-1]]


def _scores(groups: dict[str, Any]) -> list[Score]:
    found = []
    for group, scores in groups.items():
        for name, one in scores["values"].items():
            found.append(Score(group, name, one["value"], one["low"], one["high"]))
    return found


def _parts(name: str) -> list[str]:
    """A slice is called after a column and its value."""
    return [name, *name.split(":")]
