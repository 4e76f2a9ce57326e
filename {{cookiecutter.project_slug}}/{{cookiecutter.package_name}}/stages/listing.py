"""listing: looks at the files of the source again, and keeps a hash over them that changes when they do."""

from __future__ import annotations

import json

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from .. import sources
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    listing = outputs["data/listing.json"]
    columns = tuple(settings.data.columns)
    context = sources.SourceContext(listing.parent, report.cache_dir, report.root, columns)
    found = sources.fingerprint(settings.data.source, context)
    listing.write_text(json.dumps(found, indent=2) + "\n", newline="\n")


if __name__ == "__main__":
    run(__file__, work)
