"""Whose a version, a run or a logged model is: by what it points to and what it read, not by what its tags claim.

Source, run, registered files and dataset versions show that something is this project's under whatever name and tags it
was put into the store. What cannot be placed is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import ProjectError
from ..dvc.dvcfile import PARAMS_FILE
from ..dvc.hashes import hash_file, plain_md5
from ..settings import read_params
from ..tracking.address import local_path
from ..tracking.store import Store
from .case import Evidence
from .git_models import GitModel

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

ID = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{32}")
NAMED = re.compile(r"models:/(?P<name>[^/@]+)/(?P<number>\d+)")
MOST = 10_000  # files of a version that are looked at
STRANGE = "it was not registered by this pipeline: nobody knows what it was trained on"


@dataclass
class Origin:
    """What something that bears no mark of this project rests on."""

    datasets: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    model: GitModel | None = None


class Whose:
    """Everything of one store that is not marked as this project's, placed."""

    def __init__(self, evidence: Evidence, store: Store) -> None:
        self._evidence = evidence
        self._git = evidence.git_models
        self._store = store

    @cached_property
    def datasets(self) -> set[str]:
        """The dataset versions of this project that Git or the store names."""
        named = {version.tags.get("dvc_data_md5") for version in self._store.versions}
        named |= {run.data.tags.get("dvc_data_md5") for run in self._store.runs.values()}
        known = {md5 for model in self._git.models.values() for md5 in model.datasets}
        return self._git.made | known | {md5 for md5 in named if md5}

    @cached_property
    def experiments(self) -> tuple[str, ...]:
        """The experiments of this project: those that hold runs of it, and those that it names."""
        ids = {run.info.experiment_id for run in self._store.runs.values()}
        tracking = read_params(self._evidence.root / PARAMS_FILE).get("tracking") or {}
        names = {tracking.get("experiment")}
        names |= {(document.get("training_run") or {}).get("experiment") for document in self._git.documents}
        named = {number for number, name in self._store.experiments.items() if name in names}
        return tuple(sorted(ids | named))

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The runs that are not marked as this project's, and are in its experiments or have read its data."""
        digests = tuple(sorted(self.datasets | set(map(plain_md5, self.datasets))))
        return {**self._store.unmarked_runs(self.experiments), **self._store.runs_that_read(digests)}

    def read_by(self, run: Run) -> set[str]:
        """The dataset versions of this project that a run has as inputs or names in its tag."""
        digests = {entry.dataset.digest for entry in run.inputs.dataset_inputs} | {run.data.tags.get("dvc_data_md5")}
        return {md5 for digest in digests if digest for md5 in (digest, f"{digest}.dir") if md5 in self.datasets}

    @cached_property
    def logged_models(self) -> dict[str, LoggedModel]:
        """The logged models of the project's experiments, by id."""
        return {model.model_id: model for model in self._store.logged_models(self.experiments)}

    @cached_property
    def unregistered(self) -> dict[str, Origin]:
        """The logged models that no version is made of and no lineage.json names, by id."""
        registered = {name for version in self._store.every for name in ID.findall(version.source or "")}
        left = self.logged_models.keys() - registered - self._git.by_id.keys()
        ours = [model_id for model_id in sorted(left) if not self._is_of_others(self.logged_models[model_id])]
        return {model_id: self._of_logged(self.logged_models[model_id]) for model_id in ours}

    @cached_property
    def versions(self) -> list[tuple[ModelVersion, Origin]]:
        """The versions that are not marked as this project's, and are its own or cannot be placed."""
        strangers = [v for v in self._store.every if v.tags.get("project_id") != self._evidence.project_id]
        placed = ((version, self._of_version(version)) for version in strangers)
        return [(version, origin) for version, origin in placed if origin is not None]

    @property
    def left_out(self) -> int:
        """How many versions under the names of this project's models are those of other projects."""
        shown = {(version.name, version.version) for version, _ in self.versions}
        return sum((version.name, version.version) not in shown for version in self._store.neighbours)

    @cached_property
    def _names(self) -> set[str]:
        """The names that models of this project are registered under."""
        names = {version.name for version in self._store.versions} | {v.name for v in self._store.neighbours}
        return names | {str(document["model"].get("name")) for document in self._git.documents}

    @cached_property
    def _own(self) -> dict[str, ModelVersion]:
        """The versions that are marked as this project's, by the ids in their sources."""
        ordered = reversed(self._store.versions)  # of several with one source, the first was there before
        return {name: version for version in ordered for name in ID.findall(version.source or "")}

    def pointed_to(self, version: ModelVersion) -> Origin | None:
        """What the run and the source of a version lead to; None if to nothing of this project."""
        source = version.source or ""
        found = [self._of_id(name) for name in dict.fromkeys((version.run_id, *ID.findall(source))) if name]
        return _together([*found, self._of_copied(version, frozenset())])

    def _of_version(self, version: ModelVersion) -> Origin | None:
        is_ours_by_name, project = version.name in self._names, version.tags.get("project_id")
        origin = _together([self.pointed_to(version), self._by_tags(version.tags)])
        origin = origin or self._by_files(version, read=is_ours_by_name)
        if not is_ours_by_name:
            return origin
        if project is None:
            return _together([origin, Origin(unknown=[STRANGE])])
        if origin is None and not self._is_of(version, project):
            says = (
                f"its tag says that it is of project {project}, its run does not: nobody knows what it was trained on"
            )
            return Origin(unknown=[says])
        return origin

    def _is_of(self, version: ModelVersion, project: str) -> bool:
        """Whether the run of a version, too, is of that other project."""
        run = self._store.run(version.run_id) if version.run_id else None
        return run is not None and run.data.tags.get("project_id") == project

    def _of_copied(self, version: ModelVersion, seen: frozenset[tuple[str, str]]) -> Origin | None:
        """What a version rests on that was copied from another version."""
        match = NAMED.fullmatch(version.source or "")
        key = (match["name"], match["number"]) if match else None
        if key is None or key in seen:
            return None
        copied = next((other for other in self._store.every if (other.name, str(other.version)) == key), None)
        if copied is None:
            return None
        if copied.tags.get("project_id") == self._evidence.project_id:
            return self._of_own(copied)
        found = [self._of_id(name) for name in (copied.run_id, *ID.findall(copied.source or "")) if name]
        return _together([*found, self._by_tags(copied.tags), self._of_copied(copied, seen | {key})])

    def _of_id(self, name: str) -> Origin | None:
        if model := self._git.by_id.get(name):
            return Origin(set(model.datasets), list(model.unknown), model)
        if version := self._own.get(name):
            return self._of_own(version)
        if run := (self._store.runs.get(name) or self.runs.get(name)):
            return self._of_run(run)
        if logged := self.logged_models.get(name):
            return self._of_logged(logged)
        return None

    def _of_own(self, version: ModelVersion) -> Origin:
        model = self._git.models.get(version.tags.get("model_identity", ""))
        claimed = version.tags.get("dvc_data_md5")
        found = Origin({claimed} if claimed else set(), [], model)
        found.datasets |= model.datasets if model else set()
        return found

    def _of_run(self, run: Run) -> Origin:
        datasets = self.read_by(run)
        models = self._git.by_run_record.get(run.data.tags.get("dvc_run_md5", ""), [])
        datasets |= {md5 for model in models for md5 in model.datasets}
        unknown = [] if datasets else [f"its run {run.info.run_id} does not say which records it read"]
        return Origin(datasets, unknown, models[0] if models else None)

    def _is_of_others(self, logged: LoggedModel) -> bool:
        """Whether another project's run logged a model, one that has read nothing of this project."""
        run_id = logged.source_run_id
        if not run_id or run_id in self._store.runs or run_id in self.runs:
            return False
        run = self._store.run(run_id)
        return run is not None and "project_id" in run.data.tags

    def _of_logged(self, logged: LoggedModel) -> Origin:
        run_id = logged.source_run_id
        run = (self._store.runs.get(run_id) or self.runs.get(run_id)) if run_id else None
        return self._of_run(run) if run else Origin(unknown=[STRANGE])

    def _by_tags(self, tags: dict[str, str]) -> Origin | None:
        """What the tags of a version name of this project: a model, a run record, weights, a dataset version."""
        named = self._git.models.get(tags.get("model_identity", ""))
        models = [named] if named else self._git.by_run_record.get(tags.get("dvc_run_md5", ""), [])
        model = models[0] if models else None
        alike = [self._git.by_weights.get(tags.get(tag, ""), []) for tag in ("dvc_model_md5", "model_sha256")]
        datasets = {md5 for other in chain(models, *alike) for md5 in other.datasets}
        datasets |= {tags.get("dvc_data_md5", "")} & self.datasets
        return Origin(datasets, [], model) if datasets or model else None

    def _by_files(self, version: ModelVersion, *, read: bool) -> Origin | None:
        """The models of this project whose weights are among the registered files; distant ones are read if `read`."""
        sizes = {
            out.get("size")
            for model in self._git.models.values()
            for out in model.entry.get("outs") or []
            if out.get("path") in self._git.weights
        }
        try:
            folder = self._folder(version)
            if folder is not None:
                some = islice(folder.rglob("*"), MOST)
                files = (path for path in some if path.is_file() and path.stat().st_size in sizes)
                hashes = {hash_file(path, path.name) for path in files}
            elif read and (version.source or "").startswith("models:/m-"):
                hashes = set(self._store.registered(version.source.removeprefix("models:/")).content.files)
            else:
                return None
        except (ProjectError, OSError) as error:
            return Origin(unknown=[f"its files cannot be read ({error}), and {STRANGE}"]) if read else None
        found = [
            model
            for hashed in hashes
            for name in (hashed.md5, hashed.sha256)
            for model in self._git.by_weights.get(name, [])
        ]
        datasets = {md5 for model in found for md5 in model.datasets}
        return Origin(datasets, [reason for model in found for reason in model.unknown], found[0]) if found else None

    def _folder(self, version: ModelVersion) -> Path | None:
        """Where the files of a version lie on this machine; None if they are elsewhere."""
        source = version.source or ""
        if source.startswith("models:/m-"):
            with self._store.asked(f"look up where {version.name} {version.version} is kept"):
                source = str(self._store.client.get_logged_model(source.removeprefix("models:/")).artifact_location)
        path = local_path(source) if "://" in source or source.startswith("file:") else Path(source)
        return path if path is not None and path.is_absolute() and path.exists() else None


def _together(found: list[Origin | None]) -> Origin | None:
    """What all of these say together; None if none says anything."""
    known = [origin for origin in found if origin is not None]
    if not known:
        return None
    datasets = {md5 for origin in known for md5 in origin.datasets}
    unknown = dict.fromkeys(reason for origin in known for reason in origin.unknown)
    return Origin(datasets, list(unknown), next((origin.model for origin in known if origin.model), None))
