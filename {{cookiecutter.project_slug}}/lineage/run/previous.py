"""The outputs that a stage had before. dvc removes them before it runs the stage."""

from __future__ import annotations

import sys

from ..base.errors import LineageError
from ..base.terminal import block
from ..dvc.dvcfile import locked_hash, read_lock
from .callbacks import Execution
from .outputs import Outputs


def restore_outputs(execution: Execution) -> None:
    """Brings back the outputs that dvc removes before it runs a stage, as dvc.lock records them, if they can be had."""
    root, stage = execution.root, execution.stage
    entry = read_lock(root).get(stage.name)
    recorded = {path: locked_hash(entry, "outs", path) for path in stage.outs}
    wanted = {path: md5 for path, md5 in recorded.items() if md5 is not None}
    if len(wanted) < len(recorded):
        return  # it never ran here
    from ..dvc.objects import Objects
    from ..dvc.places import Places

    try:
        with Outputs(root, stage) as outputs:
            Objects(Places(root)).fetch_all({outputs[path]: md5 for path, md5 in wanted.items()})
            outputs.commit()
    except LineageError as error:
        print(
            f"the outputs of {stage.name} as they were cannot be brought back: {block(str(error))}",
            file=sys.stderr,
            flush=True,
        )
