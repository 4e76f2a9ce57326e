"""Where a consent registry may be kept: a CSV or Parquet file, on disk or in S3, or a database."""

from __future__ import annotations

import csv
import io
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import RegistryError

COLUMNS = ("subject_id", "consent_status", "effective_at")
SHOWN = 5  # rows that a message names for each kind of fault
LOST = " (a number has lost its leading zeros)"
TEXT = ("string", "large_string", "string_view")  # Arrow's
S3 = re.compile(r"s3://([^/@?#]+)/([^?#]+)", re.IGNORECASE)

Row = tuple[int, Any, Any, Any]  # its number, as a person counts, and the three columns


@dataclass
class Faults:
    """What is wrong with a registry: kinds of faults, and the rows that have them."""

    unit: str
    rows: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, *rows: int | str) -> None:
        self.rows.setdefault(kind, []).extend(map(str, rows))

    def __str__(self) -> str:
        return "; ".join(kind + self._shown(rows) for kind, rows in self.rows.items())

    def _shown(self, rows: list[str]) -> str:
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        return f" in {self.unit}{'s' * (len(rows) > 1)} {', '.join(rows[:SHOWN])}{more}" if rows else ""


def read_file(place: str, root: Path, faults: Faults) -> Iterator[Row]:
    """The rows of a CSV or Parquet file, by its ending. `root` is what a relative path is relative to."""
    address = S3.fullmatch(place)
    data = _s3_object(*address.groups()) if address else (root / place).read_bytes()
    yield from _csv(data, faults) if place.lower().endswith(".csv") else _parquet(data, faults)


def _s3_object(bucket: str, key: str) -> bytes:
    import boto3
    from botocore.config import Config

    # boto3 itself does not look at AWS_REGION, which AWS's other tools and containers set
    client = boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=Config(retries={"mode": "standard"}))
    data: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def _csv(data: bytes, faults: Faults) -> Iterator[Row]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.add("bytes that are not UTF-8", data.count(b"\n", 0, error.start) + 1)
        return
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    positions: list[int] = []
    try:
        for fields in reader:
            if not positions:
                width, positions = len(fields), _positions(fields, faults)
                if not positions:
                    return
            elif fields and len(fields) != width:
                faults.add(f"not the {width} fields of the header", line)
            elif fields:
                subject, status, effective = (fields[position] for position in positions)
                yield line, subject, status, effective
            line = reader.line_num + 1  # where the next row begins
    except csv.Error as error:
        faults.add(f"broken CSV ({error})", line)


def _parquet(data: bytes, faults: Faults) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    if not _positions(file.schema_arrow.names, faults):
        return
    for name in COLUMNS:
        kind = file.schema_arrow.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_timestamp(kind) and name == "effective_at":
            if kind.tz is None:
                faults.add("effective_at is a timestamp without a zone")
        elif str(kind) not in TEXT:
            faults.add(f"{name} is {kind}, no text{LOST if pa.types.is_integer(kind) else ''}")
    if faults.rows:
        return
    number = 0
    for batch in file.iter_batches(columns=list(COLUMNS)):
        subjects, statuses, effective = (batch.column(name) for name in COLUMNS)
        if pa.types.is_timestamp(effective.type):  # nanoseconds are cut off: Python knows none
            effective = effective.cast(pa.timestamp("us", "UTC"), safe=effective.type.unit != "ns")
        for row in zip(subjects.to_pylist(), statuses.to_pylist(), effective.to_pylist(), strict=True):
            number += 1
            yield (number, *row)


def read_database(address: str, named: str, query: str, root: Path, faults: Faults) -> Iterator[Row]:
    """Asks a database, in a way in which it refuses to be changed if it is PostgreSQL or SQLite."""
    from sqlalchemy import NullPool, create_engine, make_url

    try:
        url = make_url(re.sub("^postgres(ql)?:", "postgresql+psycopg:", address))
    except Exception:  # what it says of a password that is not percent-encoded would show a part of it
        form = "dialect://user:password@host/database, with special characters percent-encoded"
        raise RegistryError(f"{named} holds no address of a database: {form}.") from None
    if url.get_backend_name() == "sqlite":
        file = (root / (url.database or "")).absolute().as_uri()
        creator = partial(sqlite3.connect, f"{file}?mode=ro", uri=True)  # else a missing file would be made
        engine = create_engine("sqlite://", creator=creator, poolclass=NullPool)
    else:
        engine = create_engine(url, poolclass=NullPool)
    options = {"postgresql_readonly": True, "stream_results": True, "yield_per": 1000, "no_parameters": True}
    with engine.connect().execution_options(**options) as connection:
        result = connection.exec_driver_sql(query)  # as it is: neither : nor % means anything here
        if positions := _positions(list(result.keys()), faults):
            for number, row in enumerate(result, start=1):
                subject, status, effective = (row[position] for position in positions)
                yield number, subject, status, effective


def _positions(names: list[str], faults: Faults) -> list[int]:
    """Where the three columns are. Empty, with a fault, where one is missing or there twice."""
    wrong = [name for name in COLUMNS if names.count(name) != 1]
    for name in wrong:
        faults.add(f"{'more than one' if name in names else 'no'} column {name}")
    return [] if wrong else [names.index(name) for name in COLUMNS]
