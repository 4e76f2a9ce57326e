"""fetch: brings the raw records of the configured source to data/raw."""

from __future__ import annotations

from ..data import sources
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    folder = outputs["data/raw"]
    folder.mkdir()
    sources.fetch(settings.data.source, folder)


if __name__ == "__main__":
    run(__file__, work)
