"""register: makes the trained model a version in the registry, and writes its chain to lineage.json."""

from __future__ import annotations

from lineage.pipeline.registration import register
from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    from .. import serving

    register(settings, inputs, outputs["lineage.json"], report, serving)


if __name__ == "__main__":
    run(__file__, work)
