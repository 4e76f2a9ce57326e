from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project.data import sources
from project.data.raw import RAW_SCHEMA, RECORDS
from project.errors import DataError

ROW = {"record_id": "1", "subject_id": "1", "label": "cat", "image": b"png"}
OWN = SimpleNamespace(name="own")


def fetched(fetch: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source of one's own brings."""
    module = ModuleType("own")
    module.__dict__["fetch"] = fetch
    monkeypatch.setitem(sys.modules, f"{sources.__name__}.own", module)
    sources.fetch(OWN, sources.Place(folder=folder, kept=folder, root=folder))


def writes(row: dict[str, Any]) -> Callable[..., None]:
    def fetch(_: object, place: sources.Place) -> None:
        pq.write_table(pa.Table.from_pylist([row]), place.folder / RECORDS)

    return fetch


def test_what_a_source_writes_is_taken_with_further_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(writes(ROW | {"site": "Northfield"}), tmp_path, monkeypatch)
    assert pq.read_schema(tmp_path / RECORDS).names == [*RAW_SCHEMA.names, "site"]


@pytest.mark.parametrize(
    ("fetch", "sentence"),
    [
        (lambda *_: None, r"data/sources/own.py has written no records.parquet"),
        (writes({key: ROW[key] for key in ("record_id", "label", "image")}), "column subject_id .* and is missing"),
        (writes(ROW | {"label": 1}), "column label .* must be string, and is int64"),
    ],
)
def test_what_a_source_must_write(
    fetch: Callable[..., None], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=sentence):
        fetched(fetch, tmp_path, monkeypatch)


def test_a_source_without_its_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = sources.Place(folder=tmp_path, kept=tmp_path, root=tmp_path)
    with pytest.raises(DataError, match=r"no function fetch\(settings, place\) in data/sources/own.py"):
        sources.fetch(OWN, place)
    monkeypatch.setitem(sys.modules, f"{sources.__name__}.own", ModuleType("own"))
    with pytest.raises(DataError, match=r"no function look\(settings, place\) in data/sources/own.py"):
        sources.look(OWN, place)
