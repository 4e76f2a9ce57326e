"""Sources of raw records: what one of your own must bring, and the folder of images."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import sources
from project.settings import ImageFolderSource
from project.sources import image_folder
from project.sources.places import Folder
from project.sources.split_folders import UNCLEAR, level_of_splits, split_named

from lineage.base.errors import DataError
from lineage.records.raw import RAW_SCHEMA, RECORDS

ROW = {"record_id": "1", "subject_id": "1", "label": "cat", "image": b"png"}
OWN = SimpleNamespace(name="own")


def fetched(fetch: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source of one's own brings."""
    module = ModuleType("own")
    module.__dict__["fetch"] = fetch
    monkeypatch.setitem(sys.modules, f"{sources.__name__}.own", module)
    sources.fetch(OWN, sources.SourceContext(folder=folder, cache_dir=folder, root=folder))


def writes(row: dict[str, Any]) -> Callable[..., None]:
    def fetch(_: object, context: sources.SourceContext) -> None:
        pq.write_table(pa.Table.from_pylist([row]), context.folder / RECORDS)

    return fetch


def test_what_a_source_writes_is_taken_with_further_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(writes(ROW | {"site": "Northfield"}), tmp_path, monkeypatch)
    assert pq.read_schema(tmp_path / RECORDS).names == [*RAW_SCHEMA.names, "site"]


@pytest.mark.parametrize(
    ("fetch", "sentence"),
    [
        (lambda *_: None, r"sources/own.py has written no records.parquet"),
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
    context = sources.SourceContext(folder=tmp_path, cache_dir=tmp_path, root=tmp_path)
    with pytest.raises(DataError, match=r"no function fetch\(settings, context\) in sources/own.py"):
        sources.fetch(OWN, context)
    monkeypatch.setitem(sys.modules, f"{sources.__name__}.own", ModuleType("own"))
    with pytest.raises(DataError, match=r"no function fingerprint\(settings, context\) in sources/own.py"):
        sources.fingerprint(OWN, context)


def test_a_folder_that_changes_while_it_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DVC versions the folder, it hashes it after the stage: what was read before would count as that."""
    photos, raw = tmp_path / "photos" / "cat", tmp_path / "raw"
    photos.mkdir(parents=True)
    raw.mkdir()
    for name in ("a.png", "b.png"):
        (photos / name).write_bytes(b"one")
    read = Folder.read

    def read_and_change(self: Folder, path: str) -> tuple[bytes, str]:
        found = read(self, path)
        if path.endswith("a.png"):  # not from the thread that reads the other one, which may be first
            (photos / "a.png").write_bytes(b"two")
        return found

    path = str(photos.parent)
    settings = ImageFolderSource(name="image_folder", path=path, table=None, subject=None, splits="refuse")
    context = sources.SourceContext(raw, tmp_path / "kept", tmp_path)
    image_folder.fetch(settings, context)
    monkeypatch.setattr(Folder, "read", read_and_change)
    with pytest.raises(DataError, match="changed while it was read"):
        image_folder.fetch(settings, context)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training Set", "train"),
        ("train2017", "train"),
        ("VALID", "val"),
        ("validation_data", "val"),
        ("dev", "val"),
        ("test-images", "test"),
        ("Testing", "test"),
        ("eval", UNCLEAR),
        ("trains", None),
        ("tested", None),
        ("cat", None),
        ("developer", None),
        ("", None),
    ],
)
def test_what_a_name_means(name: str, split: str | None) -> None:
    assert split_named(name) == split


@pytest.mark.parametrize(
    ("paths", "level"),
    [
        (["train/cat/a", "test/cat/b"], 0),
        (["train/a", "val/b"], 0),
        (["train/cat/a", "train/dog/b"], 0),  # nothing else is there
        (["train/a", "car/b"], None),  # a class
        (["train/a", "eval/b", "cat/c"], 0),
        (["cat/train/a", "dog/test/b"], 1),
        (["cat/train/a", "dog/b"], None),
        (["set/train/cat/a", "set/test/cat/b"], 1),
        (["cat/train", "cat/test"], None),  # files
        (["a", "b"], None),
        ([], None),
    ],
)
def test_where_the_folders_are(paths: list[str], level: int | None) -> None:
    assert level_of_splits([path.split("/") for path in paths]) == level
