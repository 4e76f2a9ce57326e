"""preprocess: takes the raw records that may be used, splits them by subject, writes dataset version and profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from shutil import rmtree

import pyarrow as pa
import pyarrow.parquet as pq

from lineage.base.errors import DataError, UnreadableImagesError
from lineage.pipeline.runner import Report, run
from lineage.records.consent import active, read_snapshot
from lineage.records.duplicates import find_duplicates, splits_together
from lineage.records.layout import MANIFEST, Description
from lineage.records.near_duplicates import find_alike
from lineage.records.preparation import RawImages, absent_classes, choose, left_out
from lineage.records.profile import Profile, profile_of, write_profile
from lineage.records.raw import RECORDS, SPLIT
from lineage.records.shard_cache import ShardCache
from lineage.records.sharding import write_dataset
from lineage.run.outputs import Inputs, Outputs
from lineage.settings.data import Judged

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    data, privacy = settings.data, settings.privacy
    raw = inputs["data/raw"] / RECORDS
    there = [name for name in (SPLIT, *data.columns) if name in pq.read_schema(raw).names]
    columns = ["record_id", "subject_id", "label", *there]
    table = pq.read_table(raw, columns=columns)  # the images are read where they are needed
    images = RawImages(raw, data.image)
    consented = None
    if privacy.name == "registry":
        statuses = read_snapshot(inputs["data/consent.csv"])
        consented = active(statuses)
        counts = left_out(table, statuses, consented)
        report.metrics(counts)
        absent = statuses.keys() - consented - {*table["subject_id"].unique().to_pylist()}
        print(
            f"left out: {counts['left_out_records']} of {table.num_rows} records; subjects revoked: "
            f"{counts['left_out_subjects_revoked']}, not in the registry: {counts['left_out_subjects_unlisted']}. "
            f"Revoked, and without a record here: {len(absent)}."
        )
    processed = outputs["data/processed"]
    write = partial(_write, processed, table, images, settings, consented, report)
    unreadable: dict[str, str] = {}
    try:
        rows, description, profile = write(unreadable)
    except UnreadableImagesError as error:
        if data.on_bad_record == "error":
            raise
        unreadable = error.reasons
        print(f"skipped: {len(unreadable)} of {table.num_rows} records, whose images cannot be read: {error.shown}.")
        rows, description, profile = write(unreadable)  # shards that hold none of them come from the cache
    if description.split_by == "source":
        print("the splits are those of the source: data.split is not used.")
    found = find_duplicates(pq.read_table(processed / MANIFEST))
    if data.duplicates == "refuse" and found.groups:
        is_fixed = description.split_by == "source"
        or_else = "" if is_fixed else ", or keep them in one split with data.duplicates=together"
        raise DataError(f"{found}. Remove all but one{or_else}.")
    if data.duplicates == "together" and found.across_splits:
        print(f"brought into one split: {found}.")
        rmtree(processed)
        rows, description, profile = write(unreadable, splits_together(found.groups, data.split))
        found = find_duplicates(pq.read_table(processed / MANIFEST))
    report.metrics(found.counts)
    if found.groups:
        print(f"warning: {found}. data.duplicates says what becomes of them.")
    if data.near_duplicates is not None:
        alike = find_alike(processed, data.near_duplicates)
        report.metrics(alike.counts)
        print(f"near-duplicates: {alike}.")
    for split, names in absent_classes(rows, description.classes).items():
        if names:
            print(f"warning: no record of class {', '.join(names)} is in {split}: its scores there say nothing.")
    if data.on_bad_record == "skip":
        report.metrics({"skipped_records": len(unreadable)})
    write_profile(outputs["data/profile.json"], profile)
    if data.drift.against is not None:
        _judge(profile, inputs[data.drift.against], data.drift)


def _judge(profile: Profile, reference: Path, judged: Judged) -> None:
    """Says whether these data have drifted from a reference. Raises DataError if that stops the pipeline."""
    from lineage.judgement.drift import against_file

    drift = against_file(reference, profile)
    if drift.verdict == "no drift" or judged.on_drift == "warn":
        left_out = f" Not compared: {'; '.join(drift.not_compared)}." if drift.not_compared else ""
        print(f"{'' if drift.verdict == 'no drift' else 'warning: '}data.drift: {drift}.{left_out}")
        return
    raise DataError(
        f"{drift}. `lineage drift {judged.against} --data PLACE` shows it. If it is meant to be so, take other data as "
        "the reference, or go on with data.drift.on_drift=warn."
    )


def _write(
    folder: Path,
    table: pa.Table,
    images: RawImages,
    settings: Settings,
    consented: frozenset[str] | None,
    report: Report,
    unreadable: Collection[str],
    together: Mapping[str, str] | None = None,
) -> tuple[pa.Table, Description, Profile]:
    data, cache = settings.data, ShardCache(report.cache_dir)
    rows, description = choose(table, data, consented, unreadable, together)
    sums = write_dataset(
        folder,
        rows,
        images,
        description,
        subjects=data.shards.subjects,
        salt=data.shards.salt,
        subject_salt=settings.privacy.salt,
        cache=cache,
        engine=report.engine,
    )
    cache.tidy()
    return rows, description, profile_of(rows, sums, description, data.columns)


if __name__ == "__main__":
    run(__file__, work)
