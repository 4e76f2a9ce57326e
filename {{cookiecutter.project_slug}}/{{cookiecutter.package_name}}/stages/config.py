"""config: stops the pipeline when params.yaml is not what conf/ was composed into, and checks every setting."""

from __future__ import annotations

from pathlib import Path

from ..lineage.composition import require_fresh_params
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    require_fresh_params(Path.cwd())
    # Always the same text: the stages downstream wait for this file and are never invalidated by it.
    outputs[".checks/params"].write_text("params.yaml is what conf/ was composed into.\n", newline="\n")


if __name__ == "__main__":
    run(__file__, work)
