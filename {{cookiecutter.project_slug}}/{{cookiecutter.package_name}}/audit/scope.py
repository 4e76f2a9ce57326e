"""Everything that an audit looks at: each version and run of this project, and the dataset versions it rests on.

Versions come first, then runs; in every lifecycle stage, all pages. What a version rests on is what Git records; MLflow
only claims it. What cannot be told is written down with each, and an answer that depends on it is INCONCLUSIVE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import psutil

from ..errors import LineageError
from ..lineage.facts import DATASET
from ..lineage.tracking import source_tags
from ..pipeline.dvcfile import locked_hash
from ..proof.case import Case, Evidence
from ..settings.model import PRETRAINED

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

STAGES = ("preprocess", "train", "evaluate")  # those that work with records; register handles them by hash
ENDED_WITHOUT_MODEL = ("FAILED", "KILLED")
ANCESTORS = {"pretrained_sha256", "parent_model_sha256"}  # tags that name the weights a training started from
LAST = datetime.max.replace(tzinfo=UTC)
ENDPOINT = "endpoint"  # tag of a version: the names of the endpoints that serve it, separated by commas


@dataclass
class Use:
    """A version or a run, and what its model rests on."""

    kind: Literal["version", "run"]
    name: str  # models:/NAME/NUMBER, or the run's id
    stage: str  # of the run; `train` for a version
    run_id: str = ""  # of the training run for a version
    datasets: set[str] = field(default_factory=set)  # as DVC names them
    started: datetime | None = None
    ended: datetime | None = None
    registered: datetime | None = None
    state: str = ""
    is_deleted: bool = False
    aliases: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    commit: str | None = None
    unknown: list[str] = field(default_factory=list)  # why it cannot be told what it rests on
    left_no_model: bool = False
    root: str | None = None  # of the tree over the subjects, as MLflow claims it

    @property
    def title(self) -> str:
        """What it is called in answers."""
        return self.name if self.kind == "version" else f"run {self.name} ({self.stage})"

    @property
    def moments(self) -> list[datetime]:
        return [moment for moment in (self.started, self.ended, self.registered) if moment is not None]

    def is_after(self, since: datetime) -> bool:
        """Whether it was started, ended or registered at that moment or later."""
        moments = self.moments
        return bool(moments) and max(moments) >= since


class Scope:
    """What this project has in its store."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    @property
    def description(self) -> str:
        """Which store and which project: what others have there was not looked at."""
        return f"{self.evidence.store.shown_uri}, project {self.evidence.project_id}"

    @cached_property
    def uses(self) -> list[Use]:
        """All versions, then all runs of stages that work with records."""
        return [*self.versions, *self.runs]

    @cached_property
    def versions(self) -> list[Use]:
        store = self.evidence.store
        strangers = (version for version in store.neighbours if "project_id" not in version.tags)
        found = [*map(self._version, store.versions), *map(_stranger, strangers)]
        for use in found:
            name, _, number = use.name.removeprefix("models:/").rpartition("/")
            use.aliases = store.aliases(name).get(number, ())
        return found

    @cached_property
    def runs(self) -> list[Use]:
        found = [
            self._run(run) for run in self.evidence.store.runs.values() if run.data.tags.get("dvc_stage") in STAGES
        ]
        return sorted(found, key=lambda use: use.started or LAST)

    @cached_property
    def _by_weights(self) -> dict[str, list[ModelVersion]]:
        """The versions by the SHA-256 of their weights."""
        found: dict[str, list[ModelVersion]] = {}
        for version in self.evidence.store.versions:
            found.setdefault(version.tags.get("model_sha256", ""), []).append(version)
        return found

    @cached_property
    def datasets(self) -> list[str]:
        """The dataset versions that any of them rests on."""
        return sorted({md5 for use in self.uses for md5 in use.datasets})

    def _version(self, version: ModelVersion) -> Use:
        use = self._recorded(version)
        run = self.evidence.store.runs.get(use.run_id)
        self._add_ancestors(use, {**version.tags, **(run.data.tags if run else {})})
        return use

    def _recorded(self, version: ModelVersion) -> Use:
        """A version and what it was trained on itself, by Git, MLflow, and its training run."""
        use = _version(version)
        claimed = version.tags.get("dvc_data_md5")
        use.datasets |= {claimed} if claimed else set()
        try:
            case = Case(self.evidence, version)
            recorded = locked_hash(case.lock["train"], "deps", DATASET)
            use.commit = case.commit
            if locked_hash(case.lock["train"], "deps", PRETRAINED) and not any(
                tag in version.tags for tag in ANCESTORS
            ):
                use.unknown.append("it started from other weights says Git, from none says MLflow")
        except LineageError as error:
            use.unknown.append(f"no commit proves what it was trained on ({error})")
            recorded = None
        else:
            use.datasets |= {recorded} if recorded else set()
            if recorded != claimed:
                use.unknown.append(f"it was trained on {claimed} says MLflow, on {recorded} says Git")
        run = self.evidence.store.runs.get(str(version.tags.get("training_run_id")))
        if run is not None:
            self._add_training(use, run)
        return use

    def _add_training(self, use: Use, run: Run) -> None:
        use.started, use.ended = _moment(run.info.start_time), _moment(run.info.end_time)
        logged = _inputs(run)
        use.datasets |= logged
        if len(use.datasets) > 1 and not use.unknown:
            use.unknown.append(f"its training run {run.info.run_id} has read {', '.join(sorted(logged))}")

    def _run(self, run: Run) -> Use:
        info, tags, logged = run.info, run.data.tags, _inputs(run)  # each is asked once: there are thousands of runs
        use = Use("run", info.run_id, tags["dvc_stage"], info.run_id, state=info.status)
        use.started, use.ended = _moment(info.start_time), _moment(info.end_time)
        use.is_deleted = info.lifecycle_stage != "active"
        use.root = tags.get("subjects_root")
        claimed = tags.get("dvc_data_md5")
        use.datasets = logged | {claimed} if claimed else logged
        if use.state in ENDED_WITHOUT_MODEL or (use.state == "RUNNING" and _was_killed(tags)):
            use.left_no_model = True
            return use
        if use.state != "FINISHED":
            use.unknown.append(
                "it is still going on; if nobody follows it, `lineage jobs` closes it where it was begun"
            )
        elif not claimed:
            use.unknown.append("it does not say which dataset version it worked with")
        elif use.stage != "preprocess" and logged != {claimed}:
            use.unknown.append(f"its tag says {claimed}, its logged input {', '.join(sorted(logged)) or 'nothing'}")
        self._add_ancestors(use, tags)
        return use

    def _add_ancestors(self, use: Use, tags: dict[str, str]) -> None:
        """What a model rests on that started from another one: the data of that one too, if it is known here."""
        if not tags.keys() & ANCESTORS:
            return
        waiting, seen = [tags], set[str]()
        while waiting:
            named = waiting.pop()
            for sha256 in {named[tag] for tag in ANCESTORS if named.get(tag)} - seen:
                seen.add(sha256)
                if sha256 not in self._by_weights:
                    use.unknown.append(f"it started from weights whose data are unknown (SHA-256 {sha256[:12]}...)")
                for ancestor in self._by_weights.get(sha256, []):
                    its = self._recorded(ancestor)
                    use.datasets |= its.datasets
                    use.unknown += [f"it started from {its.name}: {reason}" for reason in its.unknown]
                    run = self.evidence.store.runs.get(its.run_id)
                    waiting.append({**ancestor.tags, **(run.data.tags if run else {})})


def _version(version: ModelVersion) -> Use:
    endpoints = (version.tags.get(ENDPOINT) or "").split(",")
    return Use(
        kind="version",
        name=f"models:/{version.name}/{version.version}",
        stage="train",
        run_id=version.tags.get("training_run_id") or "",
        registered=_moment(version.creation_timestamp),
        state=version.status,
        aliases=tuple(version.aliases),
        endpoints=tuple(name.strip() for name in endpoints if name.strip()),
    )


def _stranger(version: ModelVersion) -> Use:
    use = _version(version)
    use.unknown.append("it was not registered by this pipeline: nobody knows what it was trained on")
    return use


def _inputs(run: Run) -> set[str]:
    datasets = (entry.dataset for entry in run.inputs.dataset_inputs)
    return {dataset.digest for dataset in datasets if dataset.source_type == "dvc"}


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _was_killed(tags: dict[str, str]) -> bool:
    """Whether a run that nobody has closed can be going on no more: its process on this machine is gone."""
    if "sagemaker_job_name" in tags or tags.get("host") != source_tags()["host"]:
        return False
    return not psutil.pid_exists(int(tags.get("pid") or 0))
