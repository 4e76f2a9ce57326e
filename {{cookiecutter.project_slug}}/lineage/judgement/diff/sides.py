"""The two sides of a comparison: a commit with its dvc.lock and its files, or the workspace as it lies here."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from ...base.errors import LineageError
from ...base.strict_json import parse
from ...base.yaml12 import parse_mapping
from ...contract import Role
from ...dvc.dvcfile import HOLDS_RECORDS, PARAMS_FILE, Pipeline, Stage, locked_hash, locked_params
from ...dvc.hashes import Content, Hashed, folder_content, hash_path
from ...dvc.recorded import Recorded
from ...git.history import History
from ...git.tree import LINEAGE, Tree
from ...proof.case import Evidence, ModelCase
from ...proof.targets import resolve
from ...settings import flatten
from .section import changes

WORKSPACE = "workspace"


class Side:
    """One side. What is asked twice is looked up once. Paths are relative to the project."""

    def __init__(self, evidence: Evidence, asked: str, commit: str | None, case: ModelCase | None = None) -> None:
        """`commit` None is the workspace."""
        self.evidence = evidence
        self.asked = asked
        self.commit = commit
        self.case = case

    @property
    def title(self) -> str:
        """What was asked for, with the model version where there is one and it was asked for otherwise."""
        if self.case is None or self.case.version is None or self.case.title == self.asked:
            return self.asked
        return f"{self.asked} ({self.case.title})"

    @property
    def _tree(self) -> Tree | None:
        return self.evidence.history.at(self.commit) if self.commit else None

    @cached_property
    def recorded(self) -> Recorded:
        """dvc.lock and dvc.yaml."""
        return self._tree.recorded if self._tree else Recorded.here(self.evidence.root)

    @property
    def pipeline(self) -> Pipeline:
        return self.recorded.pipeline

    def read(self, path: str) -> bytes | None:
        """The bytes of a file that Git keeps, or that lies here; None if there is none."""
        if self._tree:
            return self._tree.read(path)
        file = self.evidence.root / path
        return file.read_bytes() if file.is_file() else None

    def content(self, path: str) -> Content | None:
        """A file or folder of code by its hashes; None if there is none. Raises LineageError for one in a submodule."""
        if not self._tree:
            here = self.evidence.root / path
            return hash_path(here) if here.exists() else None
        files = self._tree.content(path)
        if files is None:
            return None
        if self._tree.read(path) is not None:
            (file,) = files
            return Content(file.md5, file.sha256, file.size, files)
        return folder_content(files)

    def files(self, path: str) -> dict[str, Hashed]:
        """The files at or below `path`, by their path in the project."""
        content = self.content(path)
        if content is None:
            return {}
        if content.md5.endswith(".dir"):
            return {f"{path}/{file.path}": file for file in content.files}
        return {path: content.files[0]}

    def sources(self, stage: Stage) -> list[str]:
        """What a stage depends on and Git keeps: no stage makes it, and `dvc add` does not keep it."""
        found = self.pipeline.sources(stage)
        return [
            dep for dep in found if self.read(f"{dep}.dvc") is None and self.pipeline.role(dep) not in HOLDS_RECORDS
        ]

    @cached_property
    def document(self) -> dict[str, Any]:
        """lineage.json, if it is about the model of dvc.lock; else empty."""
        try:
            document = parse(self.read(LINEAGE) or b"{}")
        except ValueError:
            return {}
        model = document.get("model") if isinstance(document, dict) else None
        about_it = isinstance(model, dict) and model.get("identity") == self.recorded.identity
        return document if about_it else {}

    @cached_property
    def run_record(self) -> dict[str, Any]:
        """What the training wrote down about itself. Raises LineageError if that cannot be had."""
        md5 = self.recorded.made(Role.RUN)
        if md5 is None:
            raise LineageError("dvc.lock records no training")
        try:
            record = json.loads(self.evidence.objects.read(md5))
        except LineageError:
            record = self.document.get("training_run")
            if not record:
                raise
        except ValueError as error:
            raise LineageError(f"object {md5} is no record of a training: {error}") from None
        return dict(record)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Those of all stages, by dotted key, as dvc.lock records them."""
        found = (files for entry in self.recorded.lock.values() for files in (entry.get("params") or {}).values())
        return {key: value for values in found for key, value in flatten(values).items()}

    @cached_property
    def outdated(self) -> list[str]:
        """Which stages have not run with the files of this side, and in what these differ from dvc.lock.

        Raises LineageError for a file in a submodule.
        """
        params = parse_mapping(self.read(PARAMS_FILE))
        return [f"{stage.name}: {', '.join(wrong)}" for stage in self._run if (wrong := self._differing(stage, params))]

    @property
    def _run(self) -> list[Stage]:
        return [stage for stage in self.pipeline.stages.values() if stage.name in self.recorded.lock]

    def _differing(self, stage: Stage, params: dict[str, Any]) -> list[str]:
        entry = self.recorded.lock[stage.name]
        found = [] if stage.cmd == entry.get("cmd") else ["its command"]
        for dep in self.sources(stage):
            content = self.content(dep)
            if content is not None and content.md5 != locked_hash(entry, "deps", dep):
                found.append(dep)
        here = flatten({key: _select(params, key) for key in stage.params})
        recorded = changes(flatten(locked_params(entry)), here)
        return found + [f"{key} is {now}, it ran with {was}" for key, (was, now) in recorded.items()]


def _select(params: dict[str, Any], dotted: str) -> Any:
    value: Any = params
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def side_of(evidence: Evidence, asked: str) -> Side:
    """The side that was asked for. Raises LineageError if it names nothing, several models, or one in no commit."""
    if asked == WORKSPACE:
        return Side(evidence, asked, None)
    target = resolve(evidence, asked)
    if len(target.cases) == 1 and target.kind not in ("commit", "experiment"):
        (case,) = target.cases
        return Side(evidence, asked, case.commit, case)
    if target.kind in ("commit", "experiment"):
        return Side(evidence, asked, target.commit, target.cases[0] if len(target.cases) == 1 else None)
    if len(target.cases) > 1:
        names = ", ".join(case.title for case in target.cases[:5])
        raise LineageError(f"{asked} leads to {len(target.cases)} models: {names}. Name one version.")
    if target.commit is None:
        raise LineageError(f"{asked} is a {target.kind} that no model and no commit belongs to.")
    return Side(evidence, asked, target.commit)


def commits_between(history: History, a: str, b: str) -> tuple[list[str], list[str]]:
    """The commits that only `a` rests on, and those that only `b` does, newest first."""
    lines = history.git.must("rev-list", "--left-right", f"{a}...{b}")
    return [line[1:] for line in lines if line[0] == "<"], [line[1:] for line in lines if line[0] == ">"]
