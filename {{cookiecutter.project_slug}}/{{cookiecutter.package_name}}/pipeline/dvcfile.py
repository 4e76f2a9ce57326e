"""What dvc.yaml and dvc.lock say. dvc.yaml is the only definition of the pipeline; everything else asks here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import ProjectError
from .templating import unroll
from .yaml12 import parse_yaml

PARAMS_FILE = "params.yaml"
DVC_LOCK = "dvc.lock"
Lock = dict[str, dict[str, Any]]  # the entries of dvc.lock by stage


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
class Pipeline:
    """The stages of dvc.yaml, by name, in the order of the file."""

    stages: dict[str, Stage]

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
    params = root / PARAMS_FILE
    return parse_pipeline(_load(root / "dvc.yaml"), _load(params) if params.exists() else {})


def parse_pipeline(document: dict[str, Any], params: dict[str, Any]) -> Pipeline:
    """The pipeline that the content of a dvc.yaml defines together with that of a params.yaml."""
    stages = unroll(document.get("stages") or {}, params)
    return Pipeline({name: _stage(name, body) for name, body in stages.items()})


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
