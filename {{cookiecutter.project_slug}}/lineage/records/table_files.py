"""Tables that people keep: CSV or Parquet, read strictly. What is wrong is named by line or row, not by its content."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .ids import LOST

SHOWN = 5  # rows that a message names for each kind of fault
SEPARATORS = {";": "semicolons", "\t": "tabs"}
TEXT = ("string", "large_string", "string_view")  # Arrow's

TableRow = tuple[Any, ...]  # its number, as a person counts, and the columns that were asked for


@dataclass
class Faults:
    """What is wrong with a table: kinds of faults, and the rows that have them."""

    unit: str
    rows: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str) -> Faults:
        """Of the table of this name: a CSV file has lines, any other table rows."""
        return cls("line" if name.lower().endswith(".csv") else "row")

    def add(self, kind: str, *rows: int | str) -> None:
        self.rows.setdefault(kind, []).extend(map(str, rows))

    def __str__(self) -> str:
        return "; ".join(kind + self._shown(rows) for kind, rows in self.rows.items())

    def _shown(self, rows: list[str]) -> str:
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        return f" in {self.unit}{'s' * (len(rows) > 1)} {', '.join(rows[:SHOWN])}{more}" if rows else ""


def read_rows(data: bytes, name: str, columns: tuple[str, ...], faults: Faults, moment: str = "") -> Iterator[TableRow]:
    """The rows of a CSV or Parquet file, by the ending of `name`. All columns are text; `moment` may be a timestamp."""
    yield from _csv(data, columns, faults) if name.lower().endswith(".csv") else _parquet(data, columns, faults, moment)


def positions(names: list[str], columns: tuple[str, ...], faults: Faults) -> list[int]:
    """Where the columns are. Empty, with a fault, where one is missing or there twice."""
    wrong = [name for name in columns if names.count(name) != 1]
    for name in wrong:
        faults.add(f"{'more than one' if name in names else 'no'} column {name}")
    return [] if wrong else [names.index(name) for name in columns]


def _csv(data: bytes, columns: tuple[str, ...], faults: Faults) -> Iterator[TableRow]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.add("bytes that are not UTF-8", data.count(b"\n", 0, error.start) + 1)
        return
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    places: list[int] = []
    try:
        for fields in reader:
            if not places:
                separator = next((mark for mark in SEPARATORS if len(fields) == 1 and mark in fields[0]), None)
                if separator:  # as spreadsheets write it in much of the world
                    faults.add(f"its columns are separated by {SEPARATORS[separator]}, not by commas")
                    return
                width, places = len(fields), positions(fields, columns, faults)
                if not places:
                    return
            elif fields and len(fields) != width:
                faults.add(f"not the {width} fields of the header", line)
            elif fields:
                yield (line, *(fields[place] for place in places))
            line = reader.line_num + 1  # where the next row begins
    except csv.Error as error:
        faults.add(f"broken CSV ({error})", line)


def _parquet(data: bytes, columns: tuple[str, ...], faults: Faults, moment: str) -> Iterator[TableRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    if not positions(file.schema_arrow.names, columns, faults):
        return
    for name in columns:
        kind = file.schema_arrow.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_timestamp(kind) and name == moment:
            if kind.tz is None:
                faults.add(f"{name} is a timestamp without a zone")
        elif str(kind) not in TEXT:
            faults.add(f"{name} is {kind}, no text{LOST if pa.types.is_integer(kind) else ''}")
    if faults.rows:
        return
    number = 0
    for batch in file.iter_batches(columns=list(columns)):
        for row in zip(*(_values(batch.column(name)) for name in columns), strict=True):
            number += 1
            yield (number, *row)


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):  # nanoseconds are cut off: Python knows none
        column = column.cast(pa.timestamp("us", "UTC"), safe=column.type.unit != "ns")
    values: list[Any] = column.to_pylist()
    return values
