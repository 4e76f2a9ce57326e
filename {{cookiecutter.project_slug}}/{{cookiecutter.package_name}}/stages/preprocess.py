"""preprocess: takes the raw records that may be used, splits them by subject, and writes them as a dataset version."""

from __future__ import annotations

import pyarrow.parquet as pq

from ..data.consent import active, read_snapshot
from ..data.preparation import RawImages, choose, left_out
from ..data.raw import RECORDS
from ..data.shard_cache import ShardCache
from ..data.sharding import write_dataset
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    data, privacy = settings.data, settings.privacy
    table = pq.read_table(inputs["data/raw"] / RECORDS)
    consented = None
    if privacy.name == "registry":
        statuses = read_snapshot(inputs["data/consent.csv"])
        consented = active(statuses)
        counts = left_out(table, statuses, consented)
        report.metrics(counts)
        print(
            f"left out: {counts['left_out_records']} of {table.num_rows} records; subjects revoked: "
            f"{counts['left_out_subjects_revoked']}, not in the registry: {counts['left_out_subjects_unlisted']}."
        )
    rows, description = choose(table, data, consented)
    cache = ShardCache(report.cache)
    write_dataset(
        outputs["data/processed"],
        rows,
        RawImages(table, data.image),
        description,
        subjects=data.shards.subjects,
        salt=data.shards.salt,
        subject_salt=privacy.salt,
        cache=cache,
    )
    cache.tidy()
    for split, count in description.records.items():
        report.metrics({f"{split}_records": count, f"{split}_subjects": description.subjects[split]})


if __name__ == "__main__":
    run(__file__, work)
