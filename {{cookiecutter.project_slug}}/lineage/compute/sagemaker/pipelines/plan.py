"""What a pipeline is made of: the stages that run on SageMaker, what each reads, and the commit that it stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....base.errors import DispatchError
from ....chain.composition import require_fresh_params
from ....contract import Role
from ....dvc.dvcfile import PARAMS_FILE, Lock, Pipeline, Stage, differences, locked_hash, read_lock, read_pipeline
from ....dvc.hashes import hash_path
from ....git.code import RUN_FROM, is_code
from ....git.history import History
from ....git.repository import WRITTEN_BY_RUNS, Repository, strip_user
from ....settings import Settings, check_settings, read_params, select
from ....settings.privacy import Registry
from ...backend import backend_for
from ..backend import SageMaker
from ..parcel import Parcel
from ..preflight import check_here
from ..settings import SageMakerSettings
from .inside import step_name


@dataclass(frozen=True)
class PlannedStep:
    """A stage that becomes a step."""

    parcel: Parcel
    inputs: dict[str, str]  # hash by path, of what it reads and no step makes
    earlier: tuple[str, ...]  # the steps whose results it rests on, in the order of dvc.yaml

    @property
    def stage(self) -> Stage:
        """As dvc.yaml has it."""
        return self.parcel.stage

    @property
    def name(self) -> str:
        """What the step is called."""
        return step_name(self.stage.name)


@dataclass(frozen=True)
class Plan:
    """The pipeline of one commit."""

    root: Path
    name: str  # in the account
    pipeline: Pipeline
    settings: Settings
    params: dict[str, Any]  # the content of params.yaml
    backend: SageMaker
    steps: tuple[PlannedStep, ...]  # each after those that it rests on
    started_from: dict[str, str]  # where the runs of an execution start, as git_facts names it
    git: dict[str, str | None] | None  # what jobs clone; None where they get a snapshot

    @property
    def commit(self) -> str:
        """The commit that it was made of."""
        return self.started_from["mlflow.source.git.commit"]

    @property
    def after(self) -> list[Stage]:
        """The stages that rest on a step and run here, each after those that it rests on."""
        steps = {step.stage.name for step in self.steps}
        found = [stage for stage in self.pipeline.stages.values() if stage.name not in steps]
        resting = [stage for stage in found if steps & {each.name for each in self.pipeline.upstream(stage)}]
        return sorted(resting, key=lambda stage: len(self.pipeline.upstream(stage)))

    @property
    def of_params(self) -> list[Stage]:
        """The stages before the steps that read params.yaml itself: out of date as soon as a setting in it changes."""
        steps = {step.stage.name for step in self.steps}
        before = {each.name: each for step in self.steps for each in self.pipeline.upstream(step.stage)}
        return [stage for name, stage in before.items() if name not in steps and PARAMS_FILE in stage.deps]

    def known_inputs(self) -> dict[str, str]:
        """Hash by path of the data that all steps together find in the DVC remote before any of them ran."""
        return {path: md5 for step in self.steps for path, md5 in step.inputs.items()}


def plan_of(root: Path, *, any_state: bool = False) -> Plan:
    """The pipeline of the commit that is checked out at `root`. Asks nobody. With `any_state`, to look at executions,
    what lies here may differ from it.

    Raises DispatchError if no stage runs on SageMaker, if what is here is not what the commit holds, or if something
    that runs here lies between two steps or is not up to date.
    """
    if not any_state:
        require_fresh_params(root)
    pipeline = read_pipeline(root)
    commit = (Repository(root).head() or "") if any_state else require_commit(root, pipeline)
    params, lock = read_params(root / PARAMS_FILE), read_lock(root)
    settings = check_settings(params, PARAMS_FILE)
    placed = {stage.name: backend_for(settings.compute, pipeline, stage) for stage in pipeline.stages.values()}
    chosen = {name: backend for name, backend in placed.items() if isinstance(backend, SageMaker)}
    if not chosen:
        raise DispatchError(
            "no stage runs on SageMaker. `lineage compose compute=sagemaker` with your other overrides."
        )
    backend, *others = chosen.values()
    if any(other != backend for other in others):
        raise DispatchError(f"{', '.join(chosen)} are sent with different settings; a pipeline is made with one group.")
    if (consent := _consent_step(pipeline, settings, backend, chosen)) is not None:
        chosen[consent.name] = backend
    ordered = sorted(chosen, key=lambda name: len(pipeline.upstream(pipeline.stages[name])))
    known = _Known(root, pipeline, params, lock, frozenset(chosen))
    steps = []
    for name in ordered:
        parcel = Parcel(backend, root, pipeline, pipeline.stages[name], settings)
        check_here(backend, root, parcel.stage, settings, parcel.instances)
        earlier = tuple(each for each in ordered if pipeline.stages[each] in pipeline.upstream(parcel.stage))
        inputs = {} if any_state else known.inputs(parcel.stage)
        steps.append(PlannedStep(parcel, inputs, earlier))
    git = None if any_state else _to_clone(root, backend, commit)
    return Plan(
        root,
        pipeline_name(backend),
        pipeline,
        settings,
        params,
        backend,
        tuple(steps),
        _started_from(root, commit),
        git,
    )


def pipeline_name(backend: SageMakerSettings) -> str:
    """That of compute.sagemaker.pipeline.name, or the prefix with `-` for what SageMaker does not take."""
    return backend.pipeline.name or re.sub(r"[^A-Za-z0-9]+", "-", backend.prefix).strip("-")


def _consent_step(
    pipeline: Pipeline, settings: Settings, backend: SageMaker, chosen: dict[str, SageMaker]
) -> Stage | None:
    """The stage that reads the consent registry, if a job reaches it: an execution then starts from who consents then.

    Else its steps work with the snapshot of the commit.
    """
    registry, reader = settings.privacy.registry, pipeline.maker(Role.CONSENT)
    if registry is None or reader is None or not is_reached(registry, backend):
        return None
    resting = [pipeline.stages[name] for name in chosen]
    return reader if any(reader in pipeline.upstream(stage) for stage in resting) else None


def is_reached(registry: Registry, backend: SageMaker) -> bool:
    """Whether a job can read the consent registry: on S3, or where a variable of its secret says."""
    return (registry.path or "").lower().startswith("s3://") or bool(registry.variable and backend.secret)


def require_commit(root: Path, pipeline: Pipeline) -> str:
    """The commit that is checked out. Raises DispatchError unless it holds exactly what lies here."""
    git = Repository(root)
    commit = git.head()
    changed = git.changed_files()
    if commit is None or changed is None:
        raise DispatchError("there is no commit yet, and a pipeline is made of one. `git add -A && git commit`.")
    written = [name for name in WRITTEN_BY_RUNS if git.run("diff", "--quiet", "HEAD", "--", name) is None]
    watched = {"conf", *(dep for stage in pipeline.stages.values() for dep in pipeline.sources(stage))}
    untracked = [*git.untracked_files(tuple(sorted(watched))), *filter(is_code, git.untracked_files(RUN_FROM))]
    if wrong := [*changed, *written, *untracked]:
        raise DispatchError(
            f"{wrong[0]} is not as the commit has it, which a pipeline stands for. Commit, then run this again."
        )
    return commit


def _started_from(root: Path, commit: str) -> dict[str, str]:
    """Without user and branch, which are not the commit's: the same commit gives the same pipeline wherever it is."""
    url = Repository(root).url()
    address = {"git_repo_url": url, "dvc_repo_url": url} if url else {}
    return {"mlflow.source.git.commit": commit, "git_dirty": "false", **address}


def _to_clone(root: Path, backend: SageMaker, commit: str) -> dict[str, str | None] | None:
    """Address, commit and folder for the jobs to clone, with what they need for it; None where they get a snapshot.

    Whether the commit is there `upsert` asks.
    """
    wanted = backend.git
    if backend.source != "git":
        return None
    history = History(root)
    if wanted.revision and history.resolve(wanted.revision) != commit:
        raise DispatchError(
            f"compute.sagemaker.git.revision is {wanted.revision}, and a pipeline is of the commit that is checked "
            "out. Set it to null."
        )
    url = wanted.url or Repository(root).url()
    if not url:
        raise DispatchError("there is no Git remote for the jobs to clone. Add one, or set compute.sagemaker.git.url.")
    there = {"url": strip_user(url), "commit": commit, "folder": history.prefix}
    return {**there, "credential": wanted.credential, "secret": wanted.secret}


class _Known:
    """The hashes of what is there before a pipeline runs, by what dvc.lock and Git say of it."""

    def __init__(
        self, root: Path, pipeline: Pipeline, params: dict[str, Any], lock: Lock, steps: frozenset[str]
    ) -> None:
        self._root, self._pipeline, self._params, self._lock, self._steps = root, pipeline, params, lock, steps
        self._added = History(root).at("HEAD").added

    def inputs(self, stage: Stage) -> dict[str, str]:
        """Hash by path of the data that a step reads and no step makes."""
        return {dep: self._hash(dep) for dep in stage.deps if self._is_data(dep) and not self._is_made(dep)}

    def _is_data(self, dep: str) -> bool:
        return self._pipeline.producer(dep) is not None or dep in self._added

    def _is_made(self, dep: str) -> bool:
        maker = self._pipeline.producer(dep)
        return maker is not None and maker.name in self._steps

    def _hash(self, dep: str) -> str:
        maker = self._pipeline.producer(dep)
        if maker is None:
            return self._added.get(dep) or hash_path(self._root / dep).md5
        self._require_up_to_date(maker)
        return str(locked_hash(self._lock.get(maker.name), "outs", dep))

    def _require_up_to_date(self, stage: Stage) -> None:
        """Raises DispatchError unless dvc.lock records what a stage that runs here would make now."""
        entry = self._lock.get(stage.name)
        if between := [each.name for each in self._pipeline.upstream(stage) if each.name in self._steps]:
            raise DispatchError(
                f"{stage.name} runs here and rests on {between[0]}, which is a step: a pipeline cannot wait for this "
                f"machine. Send {stage.module} to SageMaker as well (compute.{stage.module}=sagemaker)."
            )
        wrong = [] if entry is None else differences(self._given(stage), entry)
        if entry is None or wrong:
            why = f" ({', '.join(wrong[:2])})" if wrong else ""
            raise DispatchError(f"{stage.name} is not up to date{why}. `dvc repro {stage.name}`, then commit.")

    def _given(self, stage: Stage) -> dict[str, Any]:
        deps = {dep: self._hash(dep) for dep in stage.deps}
        return {"cmd": stage.cmd, "params": {key: select(self._params, key) for key in stage.params}, "deps": deps}
