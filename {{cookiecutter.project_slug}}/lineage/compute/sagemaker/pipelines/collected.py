"""A stage whose work a step of a pipeline has done: its outputs are brought by hash, as those of any job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ....base.errors import DispatchError
from ....run.callbacks import Execution
from ....run.outputs import Inputs, Outputs
from ...backend import Tell, Work
from ...report import read_report
from ...transfer import Transfer


class Collected:
    """One execution of a stage that is over. Its job has told all trackers; here nobody is told again."""

    def __init__(self, execution: Execution, inputs: Inputs, folder: Path) -> None:
        """`folder` holds what the steps have reported, as `lineage pipeline collect` has brought and compared it."""
        execution.is_collected = True
        name = execution.stage.name
        path = folder / f"{name}.json"
        if not path.is_file():
            raise DispatchError(f"{name} is no step of the execution that is collected, and would have to run.")
        self._job = f"{name} in execution {folder.name}"
        self._entry = read_report(path.read_bytes(), self._job)
        self._transfer = Transfer(execution, inputs)

    def run(self, outputs: Outputs, work: Work, check: Callable[[], None], tell: Tell) -> None:
        """Writes what the step made to `outputs`.

        Raises DispatchError if it worked with something else than what is here.
        """
        self._transfer.bring(self._entry, self._job, outputs)
