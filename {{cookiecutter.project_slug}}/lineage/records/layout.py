"""What the files of raw data and of a dataset version are called, and its description. Costs nothing to import."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.parquet"
DESCRIPTION = "dataset.json"
SHARDS = "shards"
RECORDS = "records.parquet"  # of raw data: see raw.py
ROOT_KEY, SALT_KEY = b"merkle.root", b"merkle.salt"  # of the manifest's metadata


@dataclass(frozen=True)
class Description:
    """What a reader needs to know about a dataset version beside its rows."""

    classes: list[str]  # sorted; a label's index here is its class number
    image_size: int
    channels: int
    background: str  # what transparent parts of an image show
    further_pages: str  # what became of an image with more than one page
    split_by: str  # what decided the splits: "hash" (of the subject's id), "hash, duplicates together", or "source"
    records: dict[str, int]  # by split
    subjects: dict[str, int]  # by split


def read_description(folder: Path) -> Description:
    """The description of the dataset version in `folder`."""
    return Description(**json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")))
