"""The snapshot of the consent registry: which subject had which status when the pipeline was run, sorted."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from ..base.errors import DataError

COLUMNS = ["subject_id", "consent_status"]
ACTIVE = "active"


def write_snapshot(path: Path, statuses: Iterable[tuple[str, str]]) -> None:
    """Writes subjects and their status. The same registry gives the same bytes, with any version of any library."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        table.writerow(COLUMNS)
        table.writerows(sorted(statuses))


def read_snapshot(path: Path) -> dict[str, str]:
    """Status by subject. Raises DataError if the file is no snapshot: then nobody's consent is known."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
            statuses = dict(rows)
    except (ValueError, csv.Error):  # wrong encoding, no header, another number of columns
        header, rows, statuses = [], [], {}
    if header != COLUMNS or not statuses or len(statuses) < len(rows):
        raise DataError(f"{path} is no snapshot of the consent registry. `dvc repro` recreates it.")
    return statuses


def active(statuses: dict[str, str]) -> frozenset[str]:
    """The subjects whose records may be used."""
    return frozenset(subject for subject, status in statuses.items() if status == ACTIVE)
