"""fetch: brings the raw records of the configured source to data/raw."""

from __future__ import annotations

from pathlib import Path

from ..data import sources
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings
from ..settings.data import LISTING


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    data, folder = settings.data, outputs["data/raw"]
    folder.mkdir()
    # what DVC versions lies here, also where the main project is elsewhere
    root = Path.cwd() if data.is_versioned else report.root
    listing = inputs[LISTING] if data.listing == LISTING else None
    sources.fetch(data.source, sources.Place(folder, report.cache, root, listing))


if __name__ == "__main__":
    run(__file__, work)
