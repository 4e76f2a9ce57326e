"""weights: brings the weights that training starts from, and checks them."""

from __future__ import annotations

import shutil

from lineage.base.download import KnownFile
from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings

OTHERWISE = "Or train without these weights: `-S model.pretrained=false`."


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    wanted = settings.weights
    assert wanted.url is not None and wanted.sha256 is not None  # the settings were checked
    file = KnownFile(wanted.url, wanted.sha256, "weights", OTHERWISE).obtain(report.cache_dir, report.root)
    shutil.copyfile(file, outputs["models/pretrained.pth"])


if __name__ == "__main__":
    run(__file__, work)
