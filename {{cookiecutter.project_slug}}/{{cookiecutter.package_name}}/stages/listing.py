"""listing: looks at the files of the source again, and keeps a hash over them that changes when they do."""

from __future__ import annotations

import json

from ..data import sources
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    listing = outputs["data/listing.json"]
    place = sources.Place(folder=listing.parent, kept=report.cache, root=report.root)
    found = sources.look(settings.data.source, place)
    listing.write_text(json.dumps(found, indent=2) + "\n", newline="\n")


if __name__ == "__main__":
    run(__file__, work)
