"""From raw records to the records of a dataset version."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from ..errors import DataError
from ..settings import Data
from .dataset import Description, Record
from .images import decode, encode
from .raw import RECORDS
from .selection import is_sampled, split_of

SPLITS = ("train", "val", "test")


def prepare(raw: Path, settings: Data) -> tuple[list[Record], Description]:
    """The sampled records of `raw`, split by subject, their images at the size that the settings name.

    Raises DataError if a split is empty or a class is missing from train.
    """
    table = pq.read_table(raw / RECORDS)
    # all classes of the source, so that a class keeps its number however few records are sampled
    classes = sorted(set(table["label"].to_pylist()))
    records = [
        record
        for batch in track(table.to_batches(max_chunksize=1024), "preparing", console=Console(stderr=True))
        for record in _prepare_batch(batch.to_pylist(), settings)
    ]
    _check_splits(records, classes)
    description = Description(
        classes=classes,
        image_size=settings.image.size,
        channels=settings.image.channels,
        records={split: sum(record.split == split for record in records) for split in SPLITS},
        subjects={split: len({r.subject_id for r in records if r.split == split}) for split in SPLITS},
    )
    return records, description


def _prepare_batch(rows: list[dict[str, str | bytes]], settings: Data) -> Iterator[Record]:
    for row in rows:
        record_id, subject_id, label = str(row["record_id"]), str(row["subject_id"]), str(row["label"])
        if not is_sampled(record_id, settings.fraction, settings.sampling.salt):
            continue
        assert isinstance(row["image"], bytes)
        yield Record(
            record_id=record_id,
            subject_id=subject_id,
            split=split_of(subject_id, settings.split.train, settings.split.val, settings.split.salt),
            label=label,
            image=encode(decode(row["image"], settings.image.size, settings.image.channels)),
        )


def _check_splits(records: list[Record], classes: list[str]) -> None:
    for split in SPLITS:
        present = {record.label for record in records if record.split == split}
        missing = ", ".join(name for name in classes if name not in present)
        if not present:
            raise DataError(
                f"the split {split!r} is empty. Raise data.fraction, or give {split} a larger data.split.{split}."
            )
        if missing and split == "train":
            raise DataError(
                f"no record of class {missing} is in train, so no model could learn it. Raise data.fraction."
            )
        if missing:
            warnings.warn(f"no record of class {missing} is in {split}: its scores there say nothing.", stacklevel=2)
