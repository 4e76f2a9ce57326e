"""What a model said of single records, under the ids of the manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.erasure.search import Search
from lineage.erasure.spellings import Hit
from lineage.records.dataset import MANIFEST_SCHEMA
from lineage.records.layout import MANIFEST
from lineage.records.predictions import CLASSES_KEY, PROBABILITIES, write_predictions

CLASSES = ["no", "yes"]
SPLITS = ["test", "train", "test", "val", "test"]
SAID = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]], dtype=np.float32)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rows = [
        {"record_id": f"r{number}", "subject_id": f"s{number}", "split": split, "label": "no", "content_sha256": "0"}
        for number, split in enumerate(SPLITS)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), tmp_path / MANIFEST)
    return tmp_path


def test_each_record_of_the_splits_has_its_row(dataset: Path) -> None:
    file = dataset / "predictions.parquet"
    write_predictions(file, dataset, CLASSES, {"test": SAID, "val": SAID[:1]})
    table = pq.read_table(file)
    assert table["record_id"].to_pylist() == ["r0", "r2", "r4", "r3"]
    assert table["split"].to_pylist() == ["test", "test", "test", "val"]
    assert table[PROBABILITIES].to_pylist() == [*SAID.tolist(), SAID[0].tolist()]
    assert json.loads(table.schema.metadata[CLASSES_KEY]) == CLASSES
    with file.open("rb") as opened:
        assert Search(["s3"]).in_file("predictions.parquet", opened) is Hit.SURE
    with file.open("rb") as opened:
        assert Search(["s1"]).in_file("predictions.parquet", opened) is Hit.NO


@pytest.mark.parametrize("values", [SAID[:2], SAID[:, :1]], ids=["a record", "a class"])
def test_nothing_is_written_where_something_is_missing(dataset: Path, values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="test has 3 records of 2 classes"):
        write_predictions(dataset / "predictions.parquet", dataset, CLASSES, {"test": values})
    assert not (dataset / "predictions.parquet").exists()
