"""train: what a stage may import, here within its function as in a project."""

from __future__ import annotations

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    from lineage.records.layout import read_description

    from ..model.training import fit

    read_description(inputs["data/processed"])
    fit()


if __name__ == "__main__":
    run(__file__, work)
