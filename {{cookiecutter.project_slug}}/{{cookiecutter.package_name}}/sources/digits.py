"""1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn: real images, no download.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
The data do not say who wrote which digit. To have subjects at all, patients are made up: the pictures are real, the
patients, their sites and their dates are synthetic, and every row of their table says so.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lineage.records.images import encode
from lineage.records.raw import RAW_SCHEMA, RECORDS, with_columns

from ..settings import DigitsSource
from . import SourceContext, no_columns

SITES = ("Northfield Clinic", "St. Brigid Hospital", "Lakeside Practice", "Harbour Medical Centre")
TABLE = ("subject_id", "birth_year", "sex", "site", "enrolled_on", "synthetic")
FURTHER = TABLE[1:-1]  # what data.columns may name
FIRST_VISIT = date(2023, 1, 9)


def fetch(settings: DigitsSource, context: SourceContext) -> None:
    """Writes records.parquet and subjects.csv. Raises DataError if data.columns names what that table does not have."""
    if unknown := [name for name in context.columns if name not in FURTHER]:
        raise no_columns("digits", unknown, f"It has {', '.join(FURTHER)}")
    rows_of_people = ([*map(str, _subject(number))] for number in range(1, settings.subjects + 1))
    people = {row[0]: dict(zip(TABLE, row, strict=True)) for row in rows_of_people}
    digits = _table_of_scikit_learn()
    images = (digits[:, :-1].reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)  # 16 levels of grey
    labels = digits[:, -1].astype(int)
    rows = [
        {
            "record_id": f"SCAN-{number:05d}",
            "subject_id": _subject_of(number, settings.subjects),
            "label": str(label),
            "image": encode(image[np.newaxis]),
            **{name: people[_subject_of(number, settings.subjects)][name] for name in context.columns},
        }
        for number, (image, label) in enumerate(zip(images, labels, strict=True), start=1)
    ]
    schema = with_columns(RAW_SCHEMA, context.columns)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), context.folder / RECORDS, compression="none")
    with (context.folder / "subjects.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(TABLE)
        table.writerows(row.values() for row in people.values())


def _table_of_scikit_learn() -> NDArray[np.float64]:
    """Shape (1797, 65): 64 pixels from 0 to 16, and the digit. Read without the package, whose import takes 2 s."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",")


def _subject_of(record: int, subjects: int) -> str:
    # the first records visit every subject once, so that each of them has one
    number = record if record <= subjects else 1 + _draw(f"record {record}", subjects)
    return f"PAT-{number:05d}"


def _subject(number: int) -> list[str | int]:
    who = f"subject {number}"
    enrolled = FIRST_VISIT + timedelta(days=_draw(f"{who} enrolled", 700))
    return [
        f"PAT-{number:05d}",
        1938 + _draw(f"{who} born", 66),
        "FM"[_draw(f"{who} sex", 2)],
        SITES[_draw(f"{who} site", len(SITES))],
        enrolled.isoformat(),
        "yes",
    ]


def _draw(what: str, choices: int) -> int:
    """A number from 0 to `choices` - 1 that depends on `what` alone."""
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big") % choices
