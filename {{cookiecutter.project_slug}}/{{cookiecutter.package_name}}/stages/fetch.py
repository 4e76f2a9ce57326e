"""fetch: brings the raw records of the configured source to data/raw."""

from __future__ import annotations

from pathlib import Path

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from .. import sources
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    data, folder = settings.data, outputs["data/raw"]
    folder.mkdir()
    # what DVC versions lies here, also where the main project is elsewhere
    root = Path.cwd() if data.is_versioned else report.root
    listing = inputs[data.listing.path] if data.listing.enabled else None
    sources.fetch(data.source, sources.SourceContext(folder, report.cache_dir, root, tuple(data.columns), listing))


if __name__ == "__main__":
    run(__file__, work)
