from __future__ import annotations

import csv
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sqlalchemy import exc

from lineage.base.errors import ProjectError, RegistryError
from lineage.records.consent_registry import STATUSES, Entry, read_registry
from lineage.records.consent_sources import COLUMNS
from lineage.records.ids import fault_of_id, normalize_nfc
from lineage.settings.privacy import Registry

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
THEN = datetime(2024, 1, 31, 8, 30, tzinfo=UTC)
HEADER = ",".join(COLUMNS)
GOOD = "P-1,active,2024-01-31T08:30:00Z"
SELECT = f"SELECT {HEADER} FROM consents"  # noqa: S608  made of constants
TEXTS = pa.schema([(name, pa.string()) for name in COLUMNS])
MOMENTS = pa.schema([*((name, pa.string()) for name in COLUMNS[:2]), (COLUMNS[2], pa.timestamp("us", "UTC"))])


def read(place: Path | str, root: Path | None = None) -> list[Entry]:
    return read_registry(Registry(path=str(place), variable=None, query=None), root or Path("/nowhere"), NOW)


def refusal(place: Path | str, root: Path | None = None) -> str:
    with pytest.raises(RegistryError) as refused:
        read(place, root)
    return said(refused.value)


def said(error: RegistryError) -> str:
    """What a person is told: one line, and no other error shows through."""
    assert isinstance(error, ProjectError)
    assert error.__suppress_context__ or error.__context__ is None
    assert "\n" not in str(error)
    assert str(error).endswith(".")
    return str(error)


def csv_file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "consent.csv"
    path.write_bytes("\n".join([header, *rows, ""]).encode())
    return path


def parquet_file(folder: Path, rows: Iterable[tuple[Any, ...]], schema: pa.Schema = TEXTS) -> Path:
    path = folder / "consent.parquet"
    pq.write_table(pa.table(list(map(list, zip(*rows, strict=True))) or [[], [], []], schema=schema), path)
    return path


def sqlite_file(folder: Path, rows: Iterable[tuple[Any, ...]], types: str = "TEXT") -> Path:
    path = folder / "consent.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE consents (" + ",".join(f"{name} {types}" for name in COLUMNS) + ")")
        database.executemany("INSERT INTO consents VALUES (?, ?, ?)", rows)
    database.close()
    return path


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Entry]]:
    """Reads what the variable REGISTRY names."""

    def through_variable(value: str, query: str | None = SELECT) -> list[Entry]:
        monkeypatch.setenv("REGISTRY", value)
        return read_registry(Registry(path=None, variable="REGISTRY", query=query), tmp_path, NOW)

    return through_variable


def refused(ask: Callable[..., list[Entry]], value: str, query: str | None = SELECT) -> str:
    with pytest.raises(RegistryError) as error:
        ask(value, query)
    return said(error.value)


# What is written is read back


def good_id(text: str) -> bool:
    return fault_of_id(text, "subject_id") is None


SEEN = st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])
MANY_IDS = st.lists(st.text(SEEN, min_size=1).map(normalize_nfc).filter(good_id), unique=True, min_size=1)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
CONSENTS = st.tuples(
    st.sampled_from(STATUSES), st.datetimes(datetime(1900, 1, 1), datetime(2025, 5, 30), timezones=ZONES)
)
AWKWARD = [
    "0007",
    "a b",
    'say "no"',
    "x,y",
    "'; DROP TABLE consents; --",
    "Ä",
    "\u0936\u094d\u200d\u0930",
    "\U0001f9ec",
    "%s :a",
]
EXAMPLE = dict.fromkeys(AWKWARD, ("active", THEN))


@st.composite
def registries(draw: st.DrawFn) -> dict[str, tuple[str, datetime]]:
    """Status and moment by subject."""
    return {subject: draw(CONSENTS) for subject in draw(MANY_IDS)}


def entries(registry: dict[str, tuple[str, datetime]]) -> list[Entry]:
    return [Entry(subject, *registry[subject]) for subject in sorted(registry)]


def rows_of(registry: dict[str, tuple[str, datetime]]) -> list[tuple[str, str, str]]:
    return [(subject, status, moment.isoformat()) for subject, (status, moment) in registry.items()]


@effort(max_examples=40)
@given(registries())
@example(EXAMPLE)
def test_a_csv_file_is_read_back(registry: dict[str, tuple[str, datetime]]) -> None:
    with TemporaryDirectory() as folder:
        with (Path(folder) / "consent.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows_of(registry)])
        assert read("consent.csv", Path(folder)) == entries(registry)


@effort(max_examples=20)
@given(registries(), st.booleans())
@example(EXAMPLE, True)
def test_a_parquet_file_is_read_back(registry: dict[str, tuple[str, datetime]], as_text: bool) -> None:
    rows = rows_of(registry) if as_text else [(subject, *consent) for subject, consent in registry.items()]
    with TemporaryDirectory() as folder:
        parquet_file(Path(folder), rows, TEXTS if as_text else MOMENTS)
        assert read("consent.parquet", Path(folder)) == entries(registry)


@effort(max_examples=20)
@given(registries())
@example(EXAMPLE)
def test_a_database_is_read_back(registry: dict[str, tuple[str, datetime]]) -> None:
    settings = Registry(path=None, variable="REGISTRY", query=SELECT)
    with TemporaryDirectory() as folder, patch.dict("os.environ", {"REGISTRY": "sqlite:///consent.db"}):
        sqlite_file(Path(folder), rows_of(registry))
        assert read_registry(settings, Path(folder), NOW) == entries(registry)


# Files as they come


def test_entries_are_sorted_by_code_point_and_in_utc(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, "\U0001f9ec,revoked,2024-01-31T09:30:00+01:00", "\uffee,active,20240131T083000Z", f"a{GOOD}", GOOD
    )
    found = read(path)
    assert [entry.subject_id for entry in found] == ["P-1", "aP-1", "\uffee", "\U0001f9ec"]
    assert [entry.status for entry in found] == ["active", "active", "active", "revoked"]
    assert {entry.effective_at.isoformat() for entry in found} == {"2024-01-31T08:30:00+00:00"}


READABLE = {
    "with a byte order mark": b"\xef\xbb\xbf" + f"{HEADER}\n{GOOD}\n".encode(),
    "with the lines of Windows": f"{HEADER}\r\n{GOOD}\r\n".encode(),
    "without a last line break": f"{HEADER}\n{GOOD}".encode(),
    "with empty lines": f"{HEADER}\n\n{GOOD}\n\n\n".encode(),
    "with more columns in another order": (
        b'note,effective_at,subject_id,consent_status\n"a\nb",2024-01-31T08:30:00Z,P-1,active\n'
    ),
    "with quotes": b'"subject_id","consent_status","effective_at"\n"P-1","active","2024-01-31 08:30+00:00"\n',
}


@pytest.mark.parametrize("data", READABLE.values(), ids=READABLE)
@pytest.mark.parametrize("name", ["consent.csv", "CONSENT.CSV"])
def test_a_csv_file_that_is_right(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert read(name, tmp_path) == read(tmp_path / name) == [Entry("P-1", "active", THEN)]


PARQUET_TYPES = {
    "nanoseconds": (pa.string(), pa.timestamp("ns", "UTC")),
    "seconds in another zone": (pa.string(), pa.timestamp("s", "Europe/Berlin")),
    "an offset as zone": (pa.large_string(), pa.timestamp("us", "+02:00")),
    "categories": (pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ms", "UTC")),
}


@pytest.mark.parametrize(("text", "moment"), PARQUET_TYPES.values(), ids=PARQUET_TYPES)
def test_a_parquet_file_that_is_right(text: pa.DataType, moment: pa.DataType, tmp_path: Path) -> None:
    schema = pa.schema([("subject_id", text), ("consent_status", text), ("effective_at", moment)])
    path = parquet_file(tmp_path, [("P-1", "active", THEN)], schema)
    extended = pq.read_table(path).select([2, 0, 1]).append_column("note", pa.array([7]))
    assert read(path) == [Entry("P-1", "active", THEN)]
    pq.write_table(extended, path)
    assert read(path) == [Entry("P-1", "active", THEN)]


def test_what_takes_effect_at_this_moment_counts(tmp_path: Path) -> None:
    assert len(read(csv_file(tmp_path, f"P-1,active,{NOW.isoformat()}"))) == 1
    late = (NOW + timedelta(microseconds=1)).isoformat()
    assert "an effective_at in the future in line 2" in refusal(csv_file(tmp_path, f"P-1,active,{late}"))


def test_without_another_moment_it_is_now(tmp_path: Path) -> None:
    for days, fine in ((-1, True), (1, False)):
        moment = datetime.now(UTC) + timedelta(days=days)
        settings = Registry(path=str(csv_file(tmp_path, f"P-1,active,{moment.isoformat()}")), variable=None, query=None)
        if fine:
            assert len(read_registry(settings, tmp_path)) == 1
        else:
            with pytest.raises(RegistryError, match="in the future"):
                read_registry(settings, tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_id_is_composed_however_it_was_written(form: Literal["NFC", "NFD"], tmp_path: Path) -> None:
    rows = [unicodedata.normalize(form, f"Zoë-{number},revoked,2024-01-31T08:30:00Z") for number in (1, 2)]
    assert [entry.subject_id for entry in read(csv_file(tmp_path, *rows))] == ["Zoë-1", "Zoë-2"]


# Rows that cannot be right

NUMBER = 4711  # in the place of a subject's id
BAD_ROWS: dict[str, tuple[tuple[Any, Any, Any], str]] = {
    "no id": (("", "active", "2024-01-31T08:30:00Z"), "an empty subject_id"),
    "blank before the id": ((" P-2", "active", "2024-01-31T08:30:00Z"), "a subject_id with"),
    "blank after the id": (("P-2\u00a0", "active", "2024-01-31T08:30:00Z"), "a subject_id with"),
    "only blanks": (("  ", "active", "2024-01-31T08:30:00Z"), "a subject_id with"),
    "NUL in the id": (("P\0002", "active", "2024-01-31T08:30:00Z"), "a subject_id with"),
    "line break in the id": (("P\n2", "active", "2024-01-31T08:30:00Z"), "a subject_id with"),
    "carriage return in the id": (("P\r2", "active", "2024-01-31T08:30:00Z"), "a subject_id with"),
    "line separator in the id": (("P\u20282", "active", "2024-01-31T08:30:00Z"), "a subject_id with"),
    "the same id": (("P-1", "active", "2024-01-31T08:30:00Z"), "a subject_id for the second time"),
    "an invisible character in the id": (("P-\u200b2", "active", "2024-01-31T08:30:00Z"), "a subject_id with U+200B"),
    "a command to the terminal in the id": (("P\x1b[2J", "active", "2024-01-31T08:30:00Z"), "a subject_id with U+001B"),
    "the same id, another status": (("P-1", "revoked", "2024-02-01T00:00Z"), "a subject_id for the second time"),
    "no status": (("P-2", "", "2024-01-31T08:30:00Z"), "a consent_status other than active and revoked"),
    "unknown status": (("P-2", "pending", "2024-01-31T08:30:00Z"), "a consent_status other than"),
    "capital status": (("P-2", "Active", "2024-01-31T08:30:00Z"), "a consent_status other than"),
    "blank after the status": (("P-2", "active ", "2024-01-31T08:30:00Z"), "a consent_status other than"),
    "no moment": (("P-2", "active", ""), "no effective_at"),
    "no date": (("P-2", "active", "yesterday"), "an effective_at that is no ISO 8601"),
    "no such date": (("P-2", "active", "2024-02-30T00:00Z"), "an effective_at that is no ISO 8601"),
    "blank before the date": (("P-2", "active", " 2024-01-31T08:30Z"), "an effective_at that is no ISO 8601"),
    "a date that no zone can be given": (("P-2", "active", "0001-01-01T00:00+10:00"), "that is no ISO 8601"),
    "a week": (("P-2", "active", "2026-W01-1T00:00Z"), "an effective_at that is no ISO 8601"),
    "a week of the past": (("P-2", "active", "2024W0312T00Z"), "an effective_at that is no ISO 8601"),
    "another letter before the time": (("P-2", "active", "2024-01-31x00:00Z"), "that is no ISO 8601"),
    "a filler in the id": (("P-2\u3164", "active", "2024-01-31T08:30:00Z"), "a subject_id with U+3164"),
    "a day": (("P-2", "active", "2024-01-31"), "an effective_at without a zone"),
    "no zone": (("P-2", "active", "2024-01-31T08:30:00"), "an effective_at without a zone"),
    "tomorrow": (("P-2", "active", "2025-06-02T12:00:00Z"), "an effective_at in the future"),
    "tomorrow elsewhere": (("P-2", "revoked", "2025-06-01T12:00:00-01:00"), "an effective_at in the future"),
}
NULLS: dict[str, tuple[tuple[Any, Any, Any], str]] = {
    "null id": ((None, "active", "2024-01-31T08:30:00Z"), "an empty subject_id"),
    "null status": (("P-2", None, "2024-01-31T08:30:00Z"), "a consent_status other than"),
    "null moment": (("P-2", "active", None), "no effective_at"),
}
GOOD_ROW = ("P-1", "active", "2024-01-31T08:30:00Z")


@pytest.mark.parametrize(("row", "fault"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_of_a_csv_file_that_cannot_be_right(row: tuple[Any, ...], fault: str, tmp_path: Path) -> None:
    path = tmp_path / "consent.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, GOOD_ROW, row])
    message = refusal(path)
    assert fault in message
    assert "in line 3" in message
    assert not any(str(value) in message for value in row if str(value).strip() not in ("", *STATUSES))


@pytest.mark.parametrize(("row", "fault"), (BAD_ROWS | NULLS).values(), ids=BAD_ROWS | NULLS)
def test_a_row_of_a_parquet_file_that_cannot_be_right(row: tuple[Any, ...], fault: str, tmp_path: Path) -> None:
    message = refusal(parquet_file(tmp_path, [GOOD_ROW, row]))
    assert fault in message
    assert "in row 2" in message


BAD_VALUES: dict[str, tuple[tuple[Any, Any, Any], str]] = {
    "a number as id": ((NUMBER, "active", "2024-01-31T08:30:00Z"), "a subject_id that is no text (a number has lost"),
    "bytes as id": ((b"P-2", "active", "2024-01-31T08:30:00Z"), "a subject_id that is no text"),
    "a number as status": (("P-2", 1, "2024-01-31T08:30:00Z"), "a consent_status other than"),
    "a number as moment": (("P-2", "active", NUMBER), "an effective_at that is no ISO 8601"),
}


@pytest.mark.parametrize(("row", "fault"), (BAD_ROWS | NULLS | BAD_VALUES).values(), ids=BAD_ROWS | NULLS | BAD_VALUES)
def test_a_row_of_a_database_that_cannot_be_right(
    row: tuple[Any, ...], fault: str, tmp_path: Path, ask: Callable[..., list[Entry]]
) -> None:
    sqlite_file(tmp_path, [GOOD_ROW, row], types="")
    message = refused(ask, "sqlite:///consent.db")
    assert fault in message
    assert "in row 2" in message
    assert str(NUMBER) not in message


@pytest.mark.parametrize("value", [THEN.replace(tzinfo=None), date(2024, 1, 31)])
def test_a_moment_of_a_parquet_file_without_a_zone(value: date, tmp_path: Path) -> None:
    kind = pa.timestamp("us") if isinstance(value, datetime) else pa.date32()
    schema = MOMENTS.set(2, pa.field("effective_at", kind))
    message = refusal(parquet_file(tmp_path, [("P-1", "active", value)], schema))
    expected = "effective_at is a timestamp without a zone" if isinstance(value, datetime) else "effective_at is date32"
    assert expected in message


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint8(), pa.binary(), pa.float64(), pa.bool_()], ids=str)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_a_parquet_file_with_a_wrong_type(column: str, kind: pa.DataType, tmp_path: Path) -> None:
    schema = TEXTS.set(COLUMNS.index(column), pa.field(column, kind))
    pq.write_table(pa.table({field.name: pa.nulls(1, field.type) for field in schema}), tmp_path / "consent.parquet")
    message = refusal("consent.parquet", tmp_path)
    assert f"{column} is {kind}, no text" in message
    assert ("leading zeros" in message) == pa.types.is_integer(kind)


def test_all_faults_are_told_at_once_with_the_first_rows_of_each(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        GOOD,
        'P-2,"act\nive",2024-01-31T08:30:00Z',  # lines 3 and 4
        *(f",nothing,{GOOD}" for _ in range(7)),
        "P-1,revoked,2024-01-31T08:30:00",
        "P-1,,",
        "P-9",
    )
    assert refusal(path) == (
        f"the consent registry {path} is refused: a consent_status other than active and revoked in lines 3, 13; "
        "not the 3 fields of the header in lines 5, 6, 7, 8, 9 and 3 more; "
        "a subject_id for the second time in lines 12 (as in 2), 13 (as in 2); "
        "an effective_at without a zone (Z or +02:00) in line 12; no effective_at in line 13. "
        "Correct it; until then no row counts."
    )


# Files that cannot be right

BROKEN = {
    "empty": (b"", "it has no rows"),
    "a header only": (f"{HEADER}\n\n".encode(), "it has no rows"),
    "no header": (GOOD.encode(), "no column subject_id; no column consent_status; no column effective_at"),
    "semicolons": (HEADER.replace(",", ";").encode(), "its columns are separated by semicolons, not by commas"),
    "a missing column": (b"subject_id,effective_at\nP-1,2024-01-31T08:30:00Z\n", "refused: no column consent_status. "),
    "a column twice": (f"subject_id,{HEADER}\nP-0,{GOOD}\n".encode(), "more than one column subject_id"),
    "a capital column": (HEADER.upper().encode(), "no column subject_id"),
    "a field too many": (f"{HEADER}\n{GOOD}\n{GOOD},7\n".encode(), "not the 3 fields of the header in line 3"),
    "a field too few": (f"{HEADER}\nP-1,active\n{GOOD}\n".encode(), "not the 3 fields of the header in line 2"),
    "an open quote": (f'{HEADER}\n{GOOD}\n"P-2,active\nP-3'.encode(), "broken CSV (unexpected end of data) in line 3"),
    "text after a quote": (f'{HEADER}\n"P"-2,active,x\n'.encode(), "broken CSV (',' expected after '\"') in line 2"),
    "Latin-1": (f"{HEADER}\n{GOOD}\nJörg,active,x\n".encode("latin-1"), "bytes that are not UTF-8 in line 3"),
    "UTF-16": (f"{HEADER}\n{GOOD}\n".encode("utf-16"), "bytes that are not UTF-8 in line 1"),
}


@pytest.mark.parametrize(("data", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_csv_file_that_cannot_be_right(data: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / "consent.csv").write_bytes(data)
    message = refusal("consent.csv", tmp_path)
    assert message.startswith("the consent registry consent.csv is refused: ")
    assert fault in message
    assert "P-" not in message
    assert "rg," not in message


def test_one_id_written_in_two_ways_is_there_twice(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "Zo\u00eb,active,2024-01-31T08:30:00Z", "Zoe\u0308,revoked,2024-01-31T08:30:00Z")
    assert "a subject_id for the second time in line 3 (as in 2)" in refusal(path)


def test_rows_before_a_break_in_a_csv_file_do_not_count(tmp_path: Path) -> None:
    message = refusal(csv_file(tmp_path, GOOD, "P-2,maybe,2024-01-31T08:30:00Z", '"P-3,active'))
    assert "other than active and revoked in line 3; broken CSV (unexpected end of data) in line 4" in message


@pytest.mark.parametrize("data", [b"", b"PAR1 it is not", GOOD.encode()], ids=["empty", "cut off", "CSV"])
def test_a_parquet_file_that_cannot_be_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "consent.parquet").write_bytes(data)
    message = refusal("consent.parquet", tmp_path)
    assert message.startswith("the consent registry consent.parquet could not be read: ")
    assert "Check the path" in message


def test_a_parquet_file_with_damaged_rows(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, [(f"P-{number}", *GOOD_ROW[1:]) for number in range(1000)])
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    assert "could not be read" in refusal(path)


def test_a_parquet_file_without_rows_or_columns(tmp_path: Path) -> None:
    assert "it has no rows" in refusal(parquet_file(tmp_path, []))
    pq.write_table(pa.table({"subject_id": ["P-1"]}), tmp_path / "consent.parquet")
    assert "no column consent_status; no column effective_at." in refusal(tmp_path / "consent.parquet")
    doubled = pa.Table.from_arrays([pa.array(["P-1"])] * 4, names=[*COLUMNS, "subject_id"])
    pq.write_table(doubled, tmp_path / "consent.parquet")
    assert "more than one column subject_id" in refusal(tmp_path / "consent.parquet")


def test_a_moment_of_a_parquet_file_that_python_cannot_tell(tmp_path: Path) -> None:
    table = pa.table([["P-1"], ["active"], pa.array([2**42], pa.int64()).cast(pa.timestamp("s", "UTC"))], MOMENTS.names)
    pq.write_table(table, tmp_path / "consent.parquet")
    assert "could not be read" in refusal(tmp_path / "consent.parquet")


UNREADABLE = {
    "missing.csv": "No such file or directory",
    "missing/consent.parquet": "No such file or directory",
    "folder.csv": "Is a directory",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    expected = f"{name} could not be read: {UNREADABLE[name]}. Check the path and the permissions."
    assert refusal(name, tmp_path) == f"the consent registry {expected}"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    with patch.object(Path, "read_bytes", side_effect=PermissionError(13, "Permission denied")):
        assert "could not be read: Permission denied." in refusal(csv_file(tmp_path, GOOD))


@pytest.mark.parametrize("place", ["consent.xlsx", "consent", "csv", "consent.csv.gz", "s3://bucket/consent.json"])
def test_another_ending(place: str, tmp_path: Path) -> None:
    message = refusal(place, tmp_path)
    assert message.startswith("privacy.registry.path must")
    assert ".csv or .parquet" in message


# What a variable names


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_not_set(value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REGISTRY", raising=False)
    if value is not None:
        monkeypatch.setenv("REGISTRY", value)
    with pytest.raises(RegistryError, match="the environment variable REGISTRY is not set"):
        read_registry(Registry(path=None, variable="REGISTRY", query=None), tmp_path, NOW)


def test_a_variable_that_names_a_file(tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    path = csv_file(tmp_path, GOOD)
    assert ask("consent.csv", None) == ask(f"{path}\n", None) == [Entry("P-1", "active", THEN)]
    assert "missing.csv could not be read" in refused(ask, "missing.csv", None)


def test_a_database_needs_a_query(tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    sqlite_file(tmp_path, [GOOD_ROW])
    assert "privacy.registry.query" in refused(ask, "sqlite:///consent.db", None)


@pytest.mark.parametrize("name", ["consent.db", "what? 50% #1 @ä.db"])
@pytest.mark.parametrize("absolute", [True, False])
def test_where_a_sqlite_file_is(name: str, absolute: bool, tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    sqlite_file(tmp_path, [GOOD_ROW]).rename(tmp_path / name)
    address = f"sqlite:///{f'{tmp_path}/{name}' if absolute else name}"
    if "?" in name:  # begins the options in an address, so there is no such file
        assert "unable to open database file" in refused(ask, address)
    else:
        assert ask(address) == [Entry("P-1", "active", THEN)]


def test_a_query_is_sent_as_it_is(tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    sqlite_file(tmp_path, [("50% :a", "active", GOOD_ROW[2]), ("60% :a", "revoked", GOOD_ROW[2])])
    query = f"{SELECT}, (SELECT 7 AS seven) WHERE subject_id LIKE '5%%:a' -- and a remark: %s ?"
    assert [entry.subject_id for entry in ask("sqlite:///consent.db", query)] == ["50% :a"]


def test_columns_of_a_query_by_name(tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    sqlite_file(tmp_path, [("active", "P-1", GOOD_ROW[2])])
    swapped = "SELECT 1 AS one, effective_at, subject_id AS consent_status, consent_status AS subject_id FROM consents"
    assert ask("sqlite:///consent.db", swapped) == [Entry("P-1", "active", THEN)]


def test_many_rows_of_a_database(tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    rows = [(f"P-{number:04d}", *GOOD_ROW[1:]) for number in range(2500)]
    sqlite_file(tmp_path, rows[::-1])
    assert [entry.subject_id for entry in ask("sqlite:///consent.db")] == [row[0] for row in rows]


QUERIES = {
    "SELECT 1 FROM": "incomplete input",
    "SELECT * FROM elsewhere": "no such table",
    "SELECT subject_id FROM consents": "no column consent_status; no column effective_at",
    f"{SELECT} WHERE 1 = 0": "it has no rows",
    "SELECT *, subject_id FROM consents": "more than one column subject_id",
}


@pytest.mark.parametrize(("query", "reason"), QUERIES.items(), ids=QUERIES)
def test_a_query_that_does_not_work(query: str, reason: str, tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    path = sqlite_file(tmp_path, [GOOD_ROW])
    before = path.read_bytes()
    message = refused(ask, "sqlite:///consent.db", query)
    assert message.startswith("the consent registry in the database that $REGISTRY names ")
    assert reason in message
    assert path.read_bytes() == before


READS = [
    f"{SELECT} ;",
    f"-- don't; DROP\n{SELECT} /* ; */",
    f"WITH everybody AS ({SELECT}) SELECT * FROM everybody",  # noqa: S608
    "SELECT subject_id, replace(consent_status, 'x', ';') AS consent_status, effective_at FROM \"consents\"",
    f"{SELECT} WHERE subject_id NOT IN ('it''s; DROP TABLE consents', 'SET')",
]


@pytest.mark.parametrize("query", READS)
def test_a_query_that_reads(query: str, tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    sqlite_file(tmp_path, [GOOD_ROW])
    assert ask("sqlite:///consent.db", query) == [Entry("P-1", "active", THEN)]


ACTS = {
    "-- nothing": "is empty",
    "SELCT 1": "begins with 'SELCT'",
    "DELETE FROM consents": "begins with 'DELETE'",
    "DELETE FROM consents RETURNING subject_id, consent_status, effective_at": "begins with 'DELETE'",
    "CREATE TABLE more (a)": "begins with 'CREATE'",
    "ATTACH 'other.db' AS other": "begins with 'ATTACH'",
    "/* SELECT */ attach database 'file:more.db?mode=rwc' as more": "begins with 'attach'",
    "VACUUM INTO 'more.db'": "begins with 'VACUUM'",
    "PRAGMA table_info(consents)": "begins with 'PRAGMA'",
    "EXPLAIN SELECT 1": "begins with 'EXPLAIN'",
    "INSTALL httpfs": "begins with 'INSTALL'",
    "LOAD 'httpfs'": "begins with 'LOAD'",
    "SET threads = 1": "begins with 'SET'",
    "COPY consents TO 'more.csv'": "begins with 'COPY'",
    "FROM 'other.csv'": "begins with 'FROM'",
    f"{SELECT}; {SELECT}": "has several statements",
    f"{SELECT};; ATTACH 'other.db' AS other": "has several statements",
    f"{SELECT} -- it's\n; DROP TABLE consents": "has several statements",
    f"{SELECT} WHERE subject_id = E'\\''; DROP TABLE consents; --'": "databases read in different ways",
    f"/* /* */ ' */ {SELECT} --'": "databases read in different ways",
    f"{SELECT} WHERE subject_id = $$'$$; DROP TABLE consents; -- '": "databases read in different ways",
    f"/*! DROP */ {SELECT}": "databases read in different ways",
    f"{SELECT} --1; DROP": "a comment needs a space after --",
    f"{SELECT} WHERE subject_id = 'x": "has an unclosed quote or comment",
    f"{SELECT} /* x": "has an unclosed quote or comment",
    f"WITH gone AS (DELETE FROM consents RETURNING *) {SELECT}": "has the word DELETE",  # noqa: S608
    "SELECT * INTO more FROM consents": "has the word INTO",
    "SELECT * FROM consents INTO OUTFILE '/tmp/more'": "has the word INTO",
    "SELECT load_extension('more')": "calls load_extension",
    "SELECT * FROM read_csv ('/etc/passwd')": "calls read_csv",
    "SELECT pg_read_file('/etc/passwd')": "calls pg_read_file",
    "SELECT \"lo_export\"(1, 'x')": "calls",
}


@pytest.mark.parametrize(("query", "reason"), ACTS.items(), ids=ACTS)
def test_a_query_that_does_more_than_read_is_not_sent(
    query: str, reason: str, tmp_path: Path, ask: Callable[..., list[Entry]]
) -> None:
    sqlite_file(tmp_path, [GOOD_ROW])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    message = refused(ask, "sqlite:///consent.db", query)
    assert message.startswith("privacy.registry.query ")
    assert reason in message
    assert "It must be one SELECT" in message
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM consents",
        "CREATE TABLE more (a)",
        "CREATE TEMP TABLE more (a)",
        "ATTACH 'other.db' AS other",
        "ATTACH 'file:more.db?mode=rwc' AS more",
        "VACUUM INTO 'more.db'",
        "PRAGMA journal_mode = DELETE",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('more')",
        "SAVEPOINT here",
    ],
)
def test_sqlite_itself_refuses_all_but_reading(
    query: str, tmp_path: Path, ask: Callable[..., list[Entry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a query ever taken for one that reads."""
    monkeypatch.setattr("lineage.records.consent_sources.check_query", lambda _: None)
    monkeypatch.chdir(tmp_path)
    sqlite_file(tmp_path, [GOOD_ROW]).rename(tmp_path / "other.db")
    sqlite_file(tmp_path, [GOOD_ROW])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert re.search("not authorized|authorization denied|prohibited", refused(ask, "sqlite:///consent.db", query))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("address", ["sqlite:///missing.db", "sqlite:///:memory:", "sqlite:///a/b.db"])
def test_a_sqlite_file_that_is_missing_is_not_made(
    address: str, tmp_path: Path, ask: Callable[..., list[Entry]]
) -> None:
    assert "unable to open database file" in refused(ask, address)
    assert list(tmp_path.iterdir()) == []


def test_an_id_is_not_shown_where_sqlite_cannot_decode_it(tmp_path: Path, ask: Callable[..., list[Entry]]) -> None:
    path = sqlite_file(tmp_path, [GOOD_ROW])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE consents SET subject_id = CAST(x'5041542d37ff' AS TEXT)")
    database.close()
    message = refused(ask, "sqlite:///consent.db")
    assert "Could not decode" in message
    assert "PAT-7" not in message


# Secrets

SECRETS = {
    "nobody listens": "postgresql://{user}:{password}@127.0.0.1:1/db?application_name={option}",
    "the short name": "postgres://{user}:{password}@127.0.0.1:1/db?application_name={option}",
    "no such driver": "postgresql+nothing://{user}:{password}@127.0.0.1:1/db?sslmode={option}",
    "no such database": "nonsense://{user}:{password}@127.0.0.1:1/db?sslmode={option}",
    "a bad option": "postgresql://{user}:{password}@127.0.0.1:1/db?sslmode={option}",
    "an option that is none": "postgresql://{user}:{password}@127.0.0.1:1/db?{option}=1",
    "a bad port": "postgresql://{user}:{password}@127.0.0.1:{option}/db",
    "an at sign in the password": "postgresql://{user}:x@{password}@127.0.0.1:1/db?application_name={option}",
    "a colon in the password": "postgresql://{user}:x@y:{password}@127.0.0.1:1/db?application_name={option}",
    "a slash in the password": "postgresql://{user}:x@y/{password}@127.0.0.1:1/db?application_name={option}",
    "an at sign in an option": "postgresql://{user}:{password}@127.0.0.1:1/db?application_name=a@{option}",
    "credentials of S3": "s3://{user}:{password}@bucket/consent.csv?{option}",
    "a version of S3": "s3://bucket/consent.csv?{user}={password}&{option}",
    "no scheme": "{user}:{password}@127.0.0.1/db?{option}",
    "a SQLite file": "sqlite:///missing.db?{user}={password}&{option}",
}


@pytest.mark.parametrize("password", ["hunter2", "p%40ss%20w%C3%B6rd", "'q\"uote"])
@pytest.mark.parametrize("address", SECRETS.values(), ids=SECRETS)
def test_no_secret_of_an_address_is_told(address: str, password: str, ask: Callable[..., list[Entry]]) -> None:
    message = refused(ask, address.format(user="someuser", password=password, option="s0me0ption"))
    assert "REGISTRY" in message
    for secret in ("someuser", password, "p@ss", "wörd", "s0me0ption"):
        assert secret not in message


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (exc.OperationalError("SELECT", {}, Exception("no hunter2, hunter%32\nfor someuser")), "no ***, ***."),
        (exc.DataError("SELECT", {}, ValueError("invalid number: PAT-7")), "a value cannot be converted (ValueError)."),
        (RuntimeError(""), "RuntimeError."),
        (RuntimeError("x" * 299 + "-hunter2"), "x" * 299 + "-."),
    ],
)
def test_what_a_driver_says_is_cleaned(error: Exception, shown: str, ask: Callable[..., list[Entry]]) -> None:
    with patch("sqlalchemy.create_engine", side_effect=error):
        message = refused(ask, "postgresql://someuser:hunter%32@localhost/db")  # pragma: allowlist secret
    assert f"in the database that $REGISTRY names could not be read: {shown} Check $REGISTRY" in message
