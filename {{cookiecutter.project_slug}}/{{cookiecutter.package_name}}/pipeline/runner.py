"""Runs a stage. Every stage goes through here, wherever it runs and whoever started it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compute.aftercare import before_a_stage
from ..compute.place import place_of
from ..compute.ticket import job_of_this_process, ticket_of_this_job
from ..compute.unfinished import Unfinished
from ..errors import LineageError, ProjectError, SettingsError
from ..lineage.anchor import main_root
from ..lineage.code import loaded_code
from ..lineage.composition import require_fresh_params
from ..lineage.consent import require_consent
from ..lineage.reproduction import Reproduction
from ..settings import check_settings, read_params
from ..terminal import block, guard_output
from . import disk
from .callbacks import Callbacks, Execution
from .dvcfile import PARAMS_FILE, Lock, Pipeline, Stage, read_lock, read_pipeline
from .given import Given, differences
from .imports import check_imports
from .interrupts import raise_on_signals, uninterrupted
from .lock import Caller, StageLock
from .outputs import Inputs, Outputs
from .previous import put_back
from .sources import loaded_sources, start_from_sources

if TYPE_CHECKING:
    from ..compute.dispatch import Dispatch

PACKAGE = Path(__file__).resolve().parents[1]


class Report:
    """What a stage can say while it works. It does not know who listens."""

    def __init__(self, execution: Execution, callbacks: Callbacks, caller: Caller) -> None:
        self._execution = execution
        self._callbacks = callbacks
        self._caller = caller

    @property
    def run(self) -> dict[str, Any]:
        """What identifies this execution to those who listen, if anybody does, and the code it has loaded, by hash."""
        execution = self._execution
        return {**execution.run, "code": loaded_code(execution.root, execution.stage.deps)}

    @property
    def worked_with(self) -> dict[str, Any]:
        """Command, settings and dependencies by hash, as they were when this execution began."""
        return self._execution.given.entry()

    @property
    def cache(self) -> Path:
        """A folder that this stage may keep things in from one execution to the next. It may be deleted at any time."""
        return kept_folder(self.root, self._execution.stage.module)

    @property
    def root(self) -> Path:
        """The main project, which the relative paths of settings are relative to, wherever the stage runs."""
        return main_root(self._execution.root)

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        """Reports numbers; `step` is the epoch, from 1. Raises AbandonedError if nobody waits for the result."""
        self._caller.check()
        self._callbacks.on_metrics(self._execution, values, step)


def kept_folder(root: Path, stage: str) -> Path:
    """Where a stage of the project at `root` keeps things from one execution to the next."""
    return root / ".dvc" / "tmp" / "kept" / stage


Work = Callable[[Any, Inputs, Outputs, Report], None]


def run(stage_file: str, work: Work) -> None:
    """Runs `work` as the stage that `stage_file` is named for, and exits non-zero with a sentence if it cannot be done.

    `work(settings, inputs, outputs, report)` gets what dvc.yaml declares for the stage and nothing else.
    """
    if loaded_sources() is None:
        start_from_sources(PACKAGE.parent, f"{PACKAGE.name}.stages.{Path(stage_file).stem}")
    caller = Caller()
    name = Path(stage_file).stem
    raise_on_signals()
    guard_output()
    try:
        _run(name, work, caller)
    except ProjectError as error:
        print(f"{name}: {block(str(error))}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        told = disk.sentence(error)
        if told is None:
            raise
        print(f"{name}: {block(told)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was put in place.", file=sys.stderr)
        sys.exit(130)


def _run(name: str, work: Work, caller: Caller) -> None:
    root = Path.cwd()
    if PACKAGE.parent != root.resolve():
        # an installed copy would run instead of the code that dvc.lock records, in an experiment's folder for example
        raise ProjectError(f"the code comes from {PACKAGE.parent}, not from {root}. Run `dvc repro` there.")
    if ticket_of_this_job() is None:
        before_a_stage(main_root(root))
    pipeline = read_pipeline(root)
    stage = pipeline.stage(name)
    # Here as well as in the stage config: `dvc repro -s` runs one stage alone. Before the settings are checked: what a
    # newer template has added to conf/ is missing in params.yaml until that is composed.
    require_fresh_params(root)
    document = read_params(root / PARAMS_FILE)
    settings = check_settings(document, PARAMS_FILE)
    check_imports(root, root / PACKAGE.name, stage)
    ticket = ticket_of_this_job()
    if ticket is None or ticket.stage != stage.name:  # in a job, who sent it has looked
        require_consent(root, pipeline, stage, settings)
    with StageLock(root, name) as lock, Unfinished(main_root(root), name) as unfinished:
        inputs = Inputs(root, stage)
        given = Given(root, pipeline, stage, document)
        _require_true_records(pipeline, stage, read_lock(root), lock, caller)
        execution = Execution(root, pipeline, stage, settings, given, unfinished)
        with _dispatched(execution, inputs) as dispatch:
            _execute(execution, inputs, work, dispatch, caller)
        lock.note_given(caller.identity, given.noted())


def _require_true_records(pipeline: Pipeline, stage: Stage, entries: Lock, lock: StageLock, caller: Caller) -> None:
    """Raises LineageError if this very dvc recorded of a stage upstream what that stage did not work with."""
    for earlier in pipeline.upstream(stage):
        given = lock.given_to(earlier.module, caller.identity)
        wrong = differences(given, entries.get(earlier.name)) if given else []
        if wrong:
            raise LineageError(
                f"dvc.lock records another {', '.join(wrong[:3])} of {earlier.name} than it worked with: a change came "
                f"in the moment it ended. Run `dvc repro --force {earlier.name}`."
            )


def _execute(execution: Execution, inputs: Inputs, work: Work, dispatch: Dispatch | None, caller: Caller) -> None:
    """The work, here or in a job, with everybody told who listens."""
    root, stage, settings = execution.root, execution.stage, execution.settings
    callbacks = Callbacks([]) if Reproduction.of(root) else Callbacks.from_settings(settings)
    try:
        callbacks.on_start(execution)
        with Outputs(root, stage) as outputs:
            if dispatch is not None:
                dispatch.run(outputs, caller.check, lambda facts: callbacks.on_job(execution, facts))
            else:
                work(settings.declared(stage.params), inputs, outputs, Report(execution, callbacks, caller))
            caller.check()
            execution.given.require_unchanged()
            outputs.place()
        callbacks.on_end(execution)
        _check_again(execution, outputs)  # telling everybody may have taken seconds
    except BaseException as error:
        with uninterrupted():
            callbacks.on_error(execution, error)
        raise


def _check_again(execution: Execution, outputs: Outputs) -> None:
    try:
        execution.given.require_unchanged()
    except ProjectError:
        outputs.withdraw()
        raise


@contextmanager
def _dispatched(execution: Execution, inputs: Inputs) -> Iterator[Dispatch | None]:
    """The way to a SageMaker job if the stage runs in one; None if it runs here. Marks the execution accordingly."""
    ticket = ticket_of_this_job()
    if ticket is not None:
        execution.is_in_job = True
        execution.run.update({**ticket.run, "job": job_of_this_process(execution.root)})
    try:
        execution.is_sent_away = place_of(execution.settings.compute, execution.stage.name) == "sagemaker"
        if not execution.is_sent_away:
            yield None
            return
        from ..compute.dispatch import Dispatch

        yield Dispatch(execution, inputs)
    except BaseException as error:
        if execution.is_sent_away or isinstance(error, SettingsError):
            put_back(execution)
        raise
