"""preprocess: samples the raw records, splits them by subject, and writes them as a dataset version."""

from __future__ import annotations

from ..data.preparation import prepare
from ..data.sharding import write_dataset
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    data = settings.data
    records, description = prepare(inputs["data/raw"], data)
    write_dataset(outputs["data/processed"], records, description, subjects=data.shards.subjects, salt=data.shards.salt)
    for split, count in description.records.items():
        report.metrics({f"{split}_records": count, f"{split}_subjects": description.subjects[split]})


if __name__ == "__main__":
    run(__file__, work)
