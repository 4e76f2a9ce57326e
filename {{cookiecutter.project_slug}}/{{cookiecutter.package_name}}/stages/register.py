"""register: makes the trained model a version in the registry, and writes its chain to lineage.json."""

from __future__ import annotations

from ..lineage.registry import register
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    register(settings, inputs, outputs["lineage.json"], report.run)


if __name__ == "__main__":
    run(__file__, work)
