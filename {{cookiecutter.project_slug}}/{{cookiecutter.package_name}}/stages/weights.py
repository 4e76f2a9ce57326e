"""weights: brings the weights that training starts from, and checks them."""

from __future__ import annotations

import shutil

from ..download import KnownFile
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings

OTHERWISE = "Or train without these weights: `-S model.pretrained=false`."


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    wanted = settings.weights
    assert wanted.url is not None and wanted.sha256 is not None  # the settings were checked
    file = KnownFile(wanted.url, wanted.sha256, "weights", OTHERWISE).obtain(report.cache, report.root)
    shutil.copyfile(file, outputs["models/pretrained.pth"])


if __name__ == "__main__":
    run(__file__, work)
