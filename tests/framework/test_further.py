"""Further columns of records: carried from raw records to manifest, shards, index and predictions, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from scans.settings import Data

from lineage.audit.chunks import chunks_of
from lineage.base.errors import DataError
from lineage.records.dataset import MANIFEST_SCHEMA, manifest_schema, shards_in_order
from lineage.records.derived import write_subset
from lineage.records.images import encode
from lineage.records.layout import MANIFEST
from lineage.records.predictions import write_predictions
from lineage.records.preparation import RawImages, choose
from lineage.records.raw import RAW_SCHEMA, RECORDS, with_columns
from lineage.records.shard_cache import ShardCache
from lineage.records.sharding import write_dataset
from lineage.settings.data import RESERVED

IMAGE = encode(np.arange(64, dtype=np.uint8).reshape(1, 8, 8))
SITES = ("North", "South", "Ärzte")


@pytest.fixture
def data(params: dict[str, Any]) -> dict[str, Any]:
    """The content of the group `data`, with one further column."""
    settings: dict[str, Any] = params["data"] | {"columns": ["site"]}
    return settings


def raw(sites: list[str | None]) -> pa.Table:
    rows = [
        {
            "record_id": f"SCAN-{number:03d}",
            "subject_id": f"PAT-{number % 60:02d}",
            "label": ("no", "yes")[number // 60 % 2],
            "image": IMAGE,
            "site": site,
        }
        for number, site in enumerate(sites)
    ]
    return pa.Table.from_pylist(rows, schema=with_columns(RAW_SCHEMA, ["site"]))


def written(folder: Path, settings: Data, table: pa.Table) -> Path:
    """A dataset version of a table of raw records."""
    folder.mkdir(parents=True)
    pq.write_table(table, folder / RECORDS)
    rows, description = choose(table, settings, None)
    dataset, images = folder / "dataset", RawImages(folder / RECORDS, settings.image)
    write_dataset(
        dataset,
        rows,
        images,
        description,
        subjects=5,
        salt="shards-1",
        subject_salt="project-1",
        cache=ShardCache(folder.parent / "kept"),
    )
    return dataset


def everything(dataset: Path) -> dict[str, bytes]:
    return {path.relative_to(dataset).as_posix(): path.read_bytes() for path in dataset.rglob("*.*")}


def test_a_column_comes_into_manifest_and_shards_and_changes_nothing_where_it_is_not_named(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    table = raw([SITES[number % 3] for number in range(300)])
    dataset = written(tmp_path / "with", Data.model_validate(data), table)
    manifest = pq.read_table(dataset / MANIFEST)
    assert manifest.schema.equals(manifest_schema(["site"]), check_metadata=False)
    site_of = dict(zip(table["record_id"].to_pylist(), table["site"].to_pylist(), strict=True))
    assert all(row["site"] == site_of[row["record_id"]] for row in manifest.to_pylist())
    shards = [pq.read_table(path) for path in shards_in_order(dataset)]
    assert pa.concat_tables(shards).drop_columns(["image"]).equals(manifest)
    assert everything(written(tmp_path / "again", Data.model_validate(data), table)) == everything(dataset)

    plain = Data.model_validate(data | {"columns": []})
    without = everything(written(tmp_path / "without", plain, table))
    assert without == everything(written(tmp_path / "never", plain, table.drop_columns(["site"])))
    assert pq.read_schema(tmp_path / "without" / "dataset" / MANIFEST).equals(MANIFEST_SCHEMA, check_metadata=False)
    assert without.keys() != everything(dataset).keys()


def test_another_value_makes_the_shard_that_it_is_in_anew(tmp_path: Path, data: dict[str, Any]) -> None:
    sites: list[str | None] = [SITES[number % 3] for number in range(300)]
    before = everything(written(tmp_path / "before", Data.model_validate(data), raw(sites)))
    sites[17] = "West"
    after = everything(written(tmp_path / "after", Data.model_validate(data), raw(sites)))
    assert len(after.keys() - before.keys()) == 1
    assert len(after) == len(before)


def test_a_subset_and_an_index_of_audits_keep_their_columns(tmp_path: Path, data: dict[str, Any]) -> None:
    settings = Data.model_validate(data)
    dataset = written(tmp_path / "all", settings, raw([SITES[number % 3] for number in range(300)]))
    write_subset(
        dataset,
        tmp_path / "some",
        lambda row: row.further == ("South",),
        shards=settings.shards,
        cache=ShardCache(tmp_path / "kept"),
    )
    manifest = pq.read_table(tmp_path / "some" / MANIFEST)
    assert manifest["site"].unique().to_pylist() == ["South"]
    assert manifest.num_rows == 100
    with pq.ParquetFile(tmp_path / "some" / MANIFEST) as file:
        chunks = pa.Table.from_batches(chunks_of(file))
    assert chunks.equals(manifest.drop_columns(["site"]).replace_schema_metadata())


def test_predictions_have_a_column_for_each_slice(tmp_path: Path, data: dict[str, Any]) -> None:
    dataset = written(tmp_path / "all", Data.model_validate(data), raw([SITES[number % 3] for number in range(300)]))
    manifest = pq.read_table(dataset / MANIFEST)
    test = manifest.filter(pa.array([split == "test" for split in manifest["split"].to_pylist()]))
    said = {"test": np.full((test.num_rows, 2), 0.5, np.float32)}
    target = tmp_path / "predictions.parquet"
    write_predictions(target, dataset, ["no", "yes"], said, ["site"])
    table = pq.read_table(target)
    assert table.column_names[-2:] == ["probabilities", "site"]
    assert table["site"].equals(test["site"])
    with pytest.raises(DataError, match=r"no column sex, which evaluate.slices names"):
        write_predictions(target, dataset, ["no", "yes"], said, ["sex"])


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_value_that_is_missing_is_an_error_or_what_the_settings_say(
    nothing: str | None, data: dict[str, Any]
) -> None:
    table = raw([nothing if number % 10 == 0 else "North" for number in range(300)])
    with pytest.raises(DataError, match=r"30 of 300 records have no site.* data.missing_value"):
        choose(table, Data.model_validate(data), None)
    rows, _ = choose(table, Data.model_validate(data | {"missing_value": "unknown"}), None)
    assert sorted(rows["site"].to_pylist()) == ["North"] * 270 + ["unknown"] * 30


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.drop_columns(["site"]), "data.columns names site, which the raw records do not have"),
        (lambda table: table.set_column(4, "site", pa.array([1] * 300)), "column site .* must be text, and is int64"),
        (
            lambda table: table.set_column(4, "site", pa.array([" x"] * 300)),
            "a site with a NUL, a line break or blanks",
        ),
    ],
)
def test_a_column_that_cannot_be_carried(change: Any, sentence: str, data: dict[str, Any]) -> None:
    table = raw(["North"] * 300)
    with pytest.raises(DataError, match=sentence):
        choose(change(table), Data.model_validate(data), None)


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Label", "IMAGE", "a b", "1a", "é", "a.b", ""])
def test_names_that_a_column_cannot_have(name: str, data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="columns"):
        Data.model_validate(data | {"columns": [name]})


def test_two_columns_of_one_name(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="differ in upper and lower case alone"):
        Data.model_validate(data | {"columns": ["site", "Site"]})
