"""What dvc.yaml and dvc.lock say. dvc.yaml is the only definition of the pipeline; everything else asks here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ProjectError
from ..base.yaml12 import parse_yaml
from ..contract import Role
from ..settings import flatten
from .templating import unroll

PARAMS_FILE = "params.yaml"
DVC_YAML = "dvc.yaml"
DVC_LOCK = "dvc.lock"
Lock = dict[str, dict[str, Any]]  # the entries of dvc.lock by stage
HOLDS_RECORDS = (Role.RAW, Role.DATASET)


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml. Paths are as written there: relative to the project's root."""

    name: str  # as in dvc.lock; one of `foreach` is `name@item`
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]  # dotted keys of params.yaml
    outs: tuple[str, ...]  # metrics and plots included
    reports: tuple[str, ...]  # those of outs that are metrics or plots
    uncached: tuple[str, ...]  # those of outs that Git keeps instead of dvc

    @property
    def module(self) -> str:
        """The name of the file in stages/ that the stage runs."""
        return self.name.partition("@")[0]


@dataclass(frozen=True)
class Made:
    """A path that has a role, and the stage that makes it: of `foreach`, the name before the @.

    `stage` is empty where `dvc add` keeps it, so that a stage which reads it says what it is.
    """

    role: Role
    path: str
    stage: str


@dataclass(frozen=True)
class Pipeline:
    """The stages of dvc.yaml, by name, in the order of the file."""

    stages: dict[str, Stage]
    made: tuple[Made, ...] = ()  # also by a stage of `foreach` that does not exist with these settings

    def stage(self, name: str) -> Stage:
        """The stage of this name, or the one that runs the module of this name.

        Raises ProjectError if dvc.yaml has no such stage.
        """
        for stage in (self.stages.get(name), *self.stages.values()):
            if stage is not None and name in (stage.name, stage.module):
                return stage
        raise ProjectError(f"dvc.yaml has no stage {name!r}; it has {', '.join(self.stages)}.")

    def producer(self, path: str) -> Stage | None:
        """The stage that writes `path`, or None if no stage does (the path is a source)."""
        return next((stage for stage in self.stages.values() if path in stage.outs), None)

    def role(self, path: str) -> Role | None:
        """What a path is to the lineage."""
        return next((made.role for made in self.made if made.path == path), None)

    def maker(self, role: Role) -> Stage | None:
        """The stage that makes what has the role: of several datasets, the one that the training reads.

        None if no stage does.
        """
        path = self.path(role)
        return self.producer(path) if path is not None else None

    def path(self, role: Role) -> str | None:
        """Where that lies which has the role, also where a stage of `foreach` would make it; None if nothing has it."""
        paths = [made.path for made in self.made if made.role is role]
        if role is Role.DATASET and len(paths) > 1:
            training = self.maker(Role.MODEL)
            read = [path for path in paths if training and path in training.deps]
            return (read or paths)[-1]
        return paths[0] if paths else None

    def profile_of(self, dataset: str) -> str | None:
        """Where the profile of the dataset at a path lies: the stage that makes the one makes the other, or nobody."""
        maker = self.producer(dataset)
        outs = maker.outs if maker else ()
        return next((made.path for made in self.made if made.role is Role.PROFILE and made.path in outs), None)

    def of_model(self) -> list[Stage]:
        """The training and all stages upstream of it, nearest first; without one, those of the dataset."""
        last = self.maker(Role.MODEL) or self.maker(Role.DATASET)
        return [last, *self.upstream(last)] if last else []

    def works_with_records(self, stage: Stage) -> bool:
        """Whether a stage reads raw records, a dataset version, or what was made of them."""
        return any(self.role(dep) in HOLDS_RECORDS for each in (stage, *self.upstream(stage)) for dep in each.deps)

    def sources(self, stage: Stage) -> tuple[str, ...]:
        """The dependencies of `stage` that no stage writes: code, configuration, the environment lock."""
        return tuple(dep for dep in stage.deps if self.producer(dep) is None)

    def upstream(self, stage: Stage) -> list[Stage]:
        """All stages whose outputs `stage` rests on, nearest first, without `stage` itself."""
        found: dict[str, Stage] = {}
        waiting = [stage]
        while waiting:
            for dep in waiting.pop(0).deps:
                maker = self.producer(dep)
                if maker is not None and maker.name not in found:
                    found[maker.name] = maker
                    waiting.append(maker)
        return list(found.values())


def read_pipeline(root: Path) -> Pipeline:
    """Reads `root`/dvc.yaml, and what it takes from `root`/params.yaml."""
    params, document = root / PARAMS_FILE, _load(root / DVC_YAML)
    pipeline = parse_pipeline(document, _load(params) if params.exists() else {})
    _require_good_roles(document, pipeline)
    return pipeline


def parse_pipeline(document: dict[str, Any], params: dict[str, Any]) -> Pipeline:
    """The pipeline that the content of a dvc.yaml defines together with that of a params.yaml."""
    stages = unroll(document.get("stages") or {}, params)
    return Pipeline({name: _stage(name, body) for name, body in stages.items()}, tuple(made_by(document)))


def _require_good_roles(document: dict[str, Any], pipeline: Pipeline) -> None:
    """Raises ProjectError for a role that there is not, or that nothing of the stage can have."""
    for name, body in _bodies(document):
        paths = {path for kind in ("deps", "outs", "metrics", "plots") for path in _paths(body.get(kind))}
        for role, path in _stated_roles(body).items():
            if role not in list(Role):
                raise ProjectError(f"{DVC_YAML}: stage {name} names the role {role}; there are {', '.join(Role)}.")
            if path not in paths:
                raise ProjectError(f"{DVC_YAML}: stage {name} says that {path} is the {role}, and does not have it.")
    training = pipeline.maker(Role.MODEL)
    read = [dep for dep in training.deps if pipeline.role(dep) is Role.DATASET] if training else []
    if training and len(read) > 1:
        raise ProjectError(
            f"{DVC_YAML}: stage {training.name} reads {' and '.join(read)}, and a model is traced to one dataset "
            "version. Make one of them in a stage before it."
        )


def _stated_roles(body: dict[str, Any]) -> dict[str, str]:
    meta = body.get("meta")
    roles = meta.get("lineage") if isinstance(meta, dict) else None
    return {str(role): str(path) for role, path in roles.items()} if isinstance(roles, dict) else {}


def made_by(document: dict[str, Any]) -> Iterator[Made]:
    """What the stages of a dvc.yaml say under `meta` that their outputs, or what they read, are."""
    for name, body in _bodies(document):
        outs = {path for kind in ("outs", "metrics", "plots") for path in _paths(body.get(kind))}
        for role, path in _stated_roles(body).items():
            if role in list(Role):
                yield Made(Role(role), path, name if path in outs else "")


def reports_of(document: dict[str, Any]) -> set[str]:
    """The paths of the metrics and plots that a dvc.yaml declares, as they are written there."""
    kinds = [body.get(kind) for _, body in _bodies(document) for kind in ("metrics", "plots")]
    return {path for items in kinds if isinstance(items, list) for path in _paths(items)}


def _bodies(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stages of a dvc.yaml, without unrolling them. One that is not as DVC takes it is left out."""
    stages = document.get("stages")
    for name, body in stages.items() if isinstance(stages, dict) else ():
        inner = body.get("do", body) if isinstance(body, dict) else None
        if isinstance(inner, dict):
            yield str(name), inner


def read_lock(root: Path) -> Lock:
    """The entries of `root`/dvc.lock by stage.

    dvc writes an entry when its stage has ended: inside a running stage the entries upstream are fresh, its own and
    those downstream are of the previous run.
    """
    path = root / DVC_LOCK
    return (_load(path).get("stages") or {}) if path.exists() else {}


def kept_outs(stage: Stage, lock: Lock) -> list[dict[str, Any]]:
    """The outputs of a stage that dvc.lock records and DVC keeps, not Git: with `path`, `md5`, and `size` in bytes."""
    outs = (lock.get(stage.name) or {}).get("outs") or []
    return [out for out in outs if out.get("md5") and out["path"] not in stage.uncached]


def locked_hash(entry: dict[str, Any] | None, kind: str, path: str) -> str | None:
    """The MD5 that a dvc.lock entry records for `path` among its `kind` ("deps" or "outs"); None if it has none."""
    items: list[dict[str, Any]] = (entry or {}).get(kind) or []
    return next((item.get("md5") for item in items if item["path"] == path), None)


def locked_params(entry: dict[str, Any] | None) -> dict[str, Any]:
    """The parameters that a dvc.lock entry records, by dotted key."""
    files: dict[str, dict[str, Any]] = (entry or {}).get("params") or {}
    return {key: value for values in files.values() for key, value in values.items()}


def _load(path: Path) -> dict[str, Any]:
    try:
        return parse_yaml(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ProjectError(f"{path} is missing. Run this from the project's root.") from None
    except yaml.YAMLError as error:
        raise ProjectError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _stage(name: str, body: dict[str, Any]) -> Stage:
    reports = tuple(path for kind in ("metrics", "plots") for path in _paths(body.get(kind)))
    return Stage(
        name=name,
        cmd=str(body["cmd"]),
        deps=_paths(body.get("deps")),
        params=_param_keys(body.get("params")),
        outs=_paths(body.get("outs")) + reports,
        reports=reports,
        uncached=tuple(path for kind in ("outs", "metrics", "plots") for path in _uncached(body.get(kind))),
    )


def _paths(items: list[str | dict[str, Any]] | None) -> tuple[str, ...]:
    # an output is a path, or a mapping of the path to its options
    return tuple(item if isinstance(item, str) else next(iter(item)) for item in items or [])


def _uncached(items: list[str | dict[str, Any]] | None) -> list[str]:
    options = [(path, option) for item in items or [] if isinstance(item, dict) for path, option in item.items()]
    return [path for path, option in options if (option or {}).get("cache") is False]


def _param_keys(items: list[str | dict[str, Any]] | None) -> tuple[str, ...]:
    keys: list[str] = []
    for item in items or []:
        if isinstance(item, str):
            keys.append(item)
        else:
            keys.extend(item.get(PARAMS_FILE) or [])
    return tuple(keys)


def differences(given: dict[str, Any], entry: dict[str, Any] | None) -> list[str]:
    """In what an entry of dvc.lock says otherwise than what the stage noted of what it was given."""
    before, recorded = flatten(given["params"]), flatten(locked_params(entry))
    found = [] if given["cmd"] == (entry or {}).get("cmd") else ["its command"]
    for dep, md5 in given["deps"].items():
        if locked_hash(entry, "deps", dep) != md5:
            found.append(dep)
    keys = dict.fromkeys([*before, *recorded])
    others = [key for key in keys if key not in before or key not in recorded or before[key] != recorded[key]]
    return found + [f"{key} (it was {json.dumps(before.get(key), sort_keys=True, default=str)})" for key in others]
