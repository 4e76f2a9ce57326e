"""Runs a stage. Every stage goes through here, wherever it runs and whoever started it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import LineageError, ProjectError, SettingsError
from ..base.hosts import Hosts
from ..base.terminal import block, guard_output
from ..chain.composition import require_fresh_params
from ..chain.consent import require_consent
from ..chain.reproduction import Reproduction
from ..compute.aftercare import before_a_stage
from ..compute.backend import Attempt, backend_for
from ..compute.job_spec import spec_of_this_job
from ..compute.report import keep_numbers
from ..compute.spark import SparkEngine, require_engine, uses_spark
from ..contract import ROOT, load, package_name
from ..dvc.dvcfile import PARAMS_FILE, Lock, Pipeline, Stage, differences, read_lock, read_pipeline
from ..dvc.hashes import Content, hash_path
from ..git.anchor import main_root
from ..git.code import loaded_code
from ..run import disk
from ..run.callbacks import Callbacks, Execution
from ..run.checkpoints import Checkpoints, facts_of, interruptions_before, open_checkpoints
from ..run.given import Given
from ..run.imports import check_imports, check_loaded
from ..run.interrupts import raise_on_signals, require_uninterrupted, uninterrupted
from ..run.lock import ParentProcess, StageLock
from ..run.outputs import Inputs, Outputs
from ..run.previous import restore_outputs
from ..run.sources import loaded_sources, start_from_sources
from ..run.unfinished import Unfinished
from ..settings import check_settings, read_params
from ..settings.compute import TARGET

if TYPE_CHECKING:
    from ..records.sharding import Engine


class Report:
    """What a stage can say while it works. It does not know who listens."""

    def __init__(self, execution: Execution, callbacks: Callbacks, check: Callable[[], None]) -> None:
        """`check` raises if nobody waits for the result any more."""
        self._execution = execution
        self._callbacks = callbacks
        self._check = check

    @property
    def run(self) -> dict[str, Any]:
        """What identifies this execution to those who listen, if anybody does, and the code it has loaded, by hash."""
        execution = self._execution
        tracker = execution.tracker
        others = {name: dict(part) for name, part in execution.parts.items() if name != tracker and part}
        # where it started is the same for all, and kept without MLflow as well
        started = [part.pop("started_from") for part in others.values() if "started_from" in part]
        return {
            **({"started_from": started[0]} if started else {}),
            **execution.parts.get(tracker, {}),
            **({"callbacks": others} if others else {}),
            **({"job": execution.job} if execution.job else {}),
            **({"interruptions": before} if (before := interruptions_before(execution)) else {}),
            "code": loaded_code(execution.root, execution.stage.deps, loaded_sources() or ()),
        }

    @property
    def hosts(self) -> Hosts:
        """The machines that do this work together. On another than the first, nothing is kept of the outputs."""
        return self._execution.hosts

    @property
    def worked_with(self) -> dict[str, Any]:
        """Command, settings and dependencies by hash, as they were when this execution began."""
        return self._execution.given.entry()

    @property
    def machine_of_then(self) -> dict[str, Any]:
        """Where a model is made again, what the record of its training says of the machine; empty anywhere else."""
        reproduction = Reproduction.of(self._execution.root)
        return reproduction.machine if reproduction else {}

    def content(self, path: str) -> Content:
        """What a file or folder of the project holds, by hash. An input is read once, however often it is asked for."""
        execution = self._execution
        return execution.given.content(path) if path in execution.stage.deps else hash_path(execution.root / path)

    @property
    def cache_dir(self) -> Path:
        """A folder that this stage may keep things in from one execution to the next. It may be deleted at any time."""
        return cache_dir_of(self.root, self._execution.stage.module)

    def open_checkpoints(self) -> Checkpoints | None:
        """Where the work may save how far it is, and where an execution with the same inputs has that came to no end.

        None where it has to do all of it: where a model is made again to be compared, and while another process works
        with the same inputs.
        """
        if Reproduction.of(self._execution.root):
            return None
        return open_checkpoints(self._execution, self.cache_dir / "checkpoints", self.worked_with)

    @property
    def engine(self) -> Engine:
        """What divides the work of writing a dataset version: the processes of this machine, or Spark."""
        if self._execution.engine is not None:
            return self._execution.engine
        from ..records.sharding import in_processes

        return in_processes

    @property
    def root(self) -> Path:
        """The main project, which the relative paths of settings are relative to, wherever the stage runs."""
        return main_root(self._execution.root)

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        """Reports numbers; `step` is the epoch, from 1. Raises AbandonedError if nobody waits for the result."""
        self._check()
        self._execution.reported.append((dict(values), step))
        self._callbacks.on_metrics(self._execution, values, step)


def cache_dir_of(root: Path, stage: str) -> Path:
    """Where a stage of the project at `root` keeps things from one execution to the next."""
    return root / ".dvc" / "tmp" / "kept" / stage


Work = Callable[[Any, Inputs, Outputs, Report], None]


def run(stage_file: str, work: Work) -> None:
    """Runs `work` as the stage that `stage_file` is named for, and exits non-zero with a sentence if it cannot be done.

    `work(settings, inputs, outputs, report)` gets what dvc.yaml declares for the stage and nothing else.
    """
    if loaded_sources() is None:
        start_from_sources(ROOT, f"{package_name()}.stages.{Path(stage_file).stem}")
    caller = ParentProcess()
    name = Path(stage_file).stem
    raise_on_signals()
    guard_output()
    try:
        _run(name, work, caller)
    except ProjectError as error:
        print(f"{name}: {block(str(error))}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        said = disk.sentence(error)
        if said is None:
            raise
        print(f"{name}: {block(said)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was put in place.", file=sys.stderr)
        sys.exit(130)


def _run(name: str, work: Work, caller: ParentProcess) -> None:
    root = Path.cwd()
    if root.resolve() != ROOT:
        # an installed copy would run instead of the code that dvc.lock records, in an experiment's folder for example
        raise ProjectError(f"the code comes from {ROOT}, not from {root}. Run `dvc repro` there.")
    if spec_of_this_job() is None:
        before_a_stage(main_root(root))
    pipeline = read_pipeline(root)
    stage = pipeline.stage(name)
    # Here as well as in the stage config: `dvc repro -s` runs one stage alone. Before the settings are checked: what a
    # newer template has added to conf/ is missing in params.yaml until that is composed.
    require_fresh_params(root)
    document = read_params(root / PARAMS_FILE)
    settings = check_settings(document, PARAMS_FILE)
    check_imports(root, root / package_name(), stage)
    spec = spec_of_this_job()
    if spec is None or spec.stage != stage.name:  # in a job, who sent it has looked
        require_consent(root, pipeline, stage, settings)
    with StageLock(root, name) as lock, Unfinished(main_root(root), name) as unfinished:
        inputs = Inputs(root, stage)
        given = Given(root, pipeline, stage, document)
        _require_true_records(pipeline, stage, read_lock(root), lock, caller)
        execution = Execution(root, pipeline, stage, settings, given, unfinished)
        with _prepared(execution, inputs) as attempt:
            _execute(execution, inputs, work, attempt, caller)
        lock.note_given(caller.identity, given.noted())


def _require_true_records(
    pipeline: Pipeline, stage: Stage, entries: Lock, lock: StageLock, caller: ParentProcess
) -> None:
    """Raises LineageError if this very dvc recorded of a stage upstream what that stage did not work with."""
    for earlier in pipeline.upstream(stage):
        given = lock.given_to(earlier.module, caller.identity)
        wrong = differences(given, entries.get(earlier.name)) if given else []
        if wrong:
            raise LineageError(
                f"dvc.lock records another {', '.join(wrong[:3])} of {earlier.name} than it worked with: a change came "
                f"in the moment it ended. Run `dvc repro --force {earlier.name}`."
            )


def _execute(execution: Execution, inputs: Inputs, work: Work, attempt: Attempt, caller: ParentProcess) -> None:
    """The work, wherever it is done, reported to all callbacks."""
    root, stage, settings = execution.root, execution.stage, execution.settings
    is_in_job, is_sent = spec_of_this_job() is not None, execution.started_from is None
    callbacks = Callbacks.from_settings(settings, is_in_job=is_in_job, is_sent=is_sent)
    if Reproduction.of(root) or not execution.hosts.is_first or execution.is_collected:
        callbacks = Callbacks([], is_in_job=is_in_job)

    def check() -> None:
        require_uninterrupted()
        caller.check()

    def here(outputs: Outputs) -> None:
        known = set(loaded_sources() or ())
        work(settings.declared(stage.params), inputs, outputs, Report(execution, callbacks, check))
        listeners = [*settings.callbacks.values(), *settings.compute.backends.values()]
        loaded = [Path(path) for path in (loaded_sources() or {}).keys() - known]
        check_loaded(ROOT, ROOT / package_name(), stage, loaded, [str(each[TARGET]) for each in listeners])
        if before := interruptions_before(execution):
            callbacks.on_resumed(execution, facts_of(before))
        if isinstance(execution.engine, SparkEngine) and (facts := execution.engine.facts):
            callbacks.on_engine(execution, facts)

    try:
        callbacks.on_start(execution)
        if not is_sent:
            callbacks.on_job(execution, {key: value for key, value in execution.job.items() if isinstance(value, str)})
        with Outputs(root, stage) as outputs:
            attempt.run(outputs, here, check, lambda facts: callbacks.on_job(execution, facts))
            check()
            execution.given.require_unchanged()
            if not execution.hosts.is_first:
                return
            outputs.commit()
        if is_in_job:
            keep_numbers(root, execution.reported)
        elif execution.is_dispatched:
            callbacks.on_reported(execution)
        callbacks.on_end(execution)
        _check_again(execution, outputs)  # telling everybody may have taken seconds
    except BaseException as error:
        with uninterrupted():
            if execution.shelf is not None:
                execution.shelf.note_end(error)
            callbacks.on_error(execution, error)
        raise
    if execution.shelf is not None and not is_in_job:  # what a job has made can still be lost on its way
        execution.shelf.clear()


def _check_again(execution: Execution, outputs: Outputs) -> None:
    try:
        execution.given.require_unchanged()
    except ProjectError:
        outputs.withdraw()
        raise


@contextmanager
def _prepared(execution: Execution, inputs: Inputs) -> Iterator[Attempt]:
    """The execution on the backend that `compute` names for the stage. In a job that is this process."""
    spec = spec_of_this_job()
    if spec is not None:
        execution.parts.update(spec.callbacks)
        execution.job = load(spec.backend).describe_job(execution.root)
        execution.hosts = load(spec.backend).hosts()
        execution.checkpoints_at = Path(spec.checkpoints) if spec.checkpoints else None
        execution.started_from = spec.started_from
    try:
        require_engine(execution.settings.compute, execution.pipeline)
        backend = backend_for(execution.settings.compute, execution.pipeline, execution.stage)
        execution.is_dispatched = backend.is_elsewhere
        attempt = backend.prepare(execution, inputs)
        with _engine(execution):
            yield attempt
    except BaseException as error:
        if execution.is_dispatched or isinstance(error, SettingsError):
            restore_outputs(execution)
        raise


@contextmanager
def _engine(execution: Execution) -> Iterator[None]:
    """What divides the work here, if `compute.engine` names anything but the processes of this machine."""
    compute, stage = execution.settings.compute, execution.stage
    if execution.is_dispatched or not uses_spark(compute, stage):
        yield
        return
    with closing(SparkEngine(compute.spark, stage, execution.root / ".dvc" / "tmp" / "spark")) as engine:
        execution.engine = engine
        yield
