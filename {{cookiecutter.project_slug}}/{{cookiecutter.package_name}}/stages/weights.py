"""weights: brings the weights that training starts from, and checks them."""

from __future__ import annotations

from pathlib import Path

from ..lineage.anchor import main_root
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings
from ..weights import bring


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    bring(settings.weights, outputs["models/pretrained.pth"], report.cache, main_root(Path.cwd()))


if __name__ == "__main__":
    run(__file__, work)
