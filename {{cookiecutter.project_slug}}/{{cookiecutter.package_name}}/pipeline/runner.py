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
from ..errors import ProjectError, SettingsError
from ..lineage.anchor import main_root
from ..lineage.composition import require_fresh_params
from ..lineage.consent import require_consent
from ..settings import load_settings
from ..terminal import block, guard_output
from . import disk
from .callbacks import Callbacks, Execution
from .dvcfile import PARAMS_FILE, read_pipeline
from .imports import check_imports
from .interrupts import raise_on_signals, uninterrupted
from .lock import Caller, StageLock
from .outputs import Inputs, Outputs
from .previous import put_back

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
        """What identifies this execution to those who listen; empty when nobody does."""
        return dict(self._execution.run)

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
        raise ProjectError(
            f"the code comes from {PACKAGE.parent}, not from {root}. Run stages as `python -m` from there."
        )
    if ticket_of_this_job() is None:
        before_a_stage(main_root(root))
    pipeline = read_pipeline(root)
    stage = pipeline.stage(name)
    # Here as well as in the stage config: `dvc repro -s` runs one stage alone. Before the settings are checked: what a
    # newer template has added to conf/ is missing in params.yaml until that is composed.
    require_fresh_params(root)
    settings = load_settings(root / PARAMS_FILE)
    check_imports(root, root / PACKAGE.name, stage)
    if ticket_of_this_job() is None:  # in a job, who sent it has looked
        require_consent(root, pipeline, stage, settings)
    with StageLock(root, name), Unfinished(main_root(root), name) as unfinished:
        execution = Execution(root, pipeline, stage, settings, unfinished)
        inputs = Inputs(root, stage)
        with _dispatched(execution, inputs) as dispatch:
            _execute(execution, inputs, work, dispatch, caller)


def _execute(execution: Execution, inputs: Inputs, work: Work, dispatch: Dispatch | None, caller: Caller) -> None:
    """The work, here or in a job, with everybody told who listens."""
    root, stage, settings = execution.root, execution.stage, execution.settings
    callbacks = Callbacks.from_settings(settings)
    try:
        callbacks.on_start(execution)
        with Outputs(root, stage) as outputs:
            if dispatch is not None:
                dispatch.run(outputs, caller.check, lambda facts: callbacks.on_job(execution, facts))
            else:
                work(settings.declared(stage.params), inputs, outputs, Report(execution, callbacks, caller))
            caller.check()
            outputs.place()
        callbacks.on_end(execution)
    except BaseException as error:
        with uninterrupted():
            callbacks.on_error(execution, error)
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
