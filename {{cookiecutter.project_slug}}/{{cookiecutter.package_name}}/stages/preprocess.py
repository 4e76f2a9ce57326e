"""preprocess: takes the raw records that may be used, splits them by subject, and writes them as a dataset version."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..data.consent import active, read_snapshot
from ..data.dataset import Description
from ..data.preparation import RawImages, absent_classes, choose, left_out
from ..data.raw import RECORDS
from ..data.shard_cache import ShardCache
from ..data.sharding import write_dataset
from ..errors import UnreadableImagesError
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
    write = partial(_write, outputs["data/processed"], table, settings, consented, report.cache)
    unreadable: dict[str, str] = {}
    try:
        description = write(unreadable)
    except UnreadableImagesError as error:
        if data.on_bad_record == "error":
            raise
        unreadable = error.reasons
        print(f"skipped: {len(unreadable)} of {table.num_rows} records, whose images cannot be read: {error.shown}.")
        description = write(unreadable)  # shards that hold none of them come from the cache
    if data.on_bad_record == "skip":
        report.metrics({"skipped_records": len(unreadable)})
    for split, count in description.records.items():
        report.metrics({f"{split}_records": count, f"{split}_subjects": description.subjects[split]})


def _write(
    folder: Path,
    table: pa.Table,
    settings: Settings,
    consented: frozenset[str] | None,
    kept: Path,
    unreadable: Collection[str],
) -> Description:
    data, cache = settings.data, ShardCache(kept)
    rows, description = choose(table, data, consented, unreadable)
    write_dataset(
        folder,
        rows,
        RawImages(table, data.image),
        description,
        subjects=data.shards.subjects,
        salt=data.shards.salt,
        subject_salt=settings.privacy.salt,
        cache=cache,
    )
    cache.tidy()
    for split, names in absent_classes(rows, description.classes).items():
        if names:
            print(f"warning: no record of class {', '.join(names)} is in {split}: its scores there say nothing.")
    return description


if __name__ == "__main__":
    run(__file__, work)
