"""What a model said of single records: a Parquet file with a row for each, under the ids of the manifest.

So two models can be compared on the same records, later, without loading either of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..base.errors import DataError
from .layout import MANIFEST

ID_COLUMNS = ("record_id", "subject_id", "split", "label")  # of the manifest
PROBABILITIES = "probabilities"
CLASSES_KEY = b"classes"  # in the metadata: their names in the order of the probabilities, as JSON


def write_predictions(
    path: Path,
    dataset: Path,
    classes: Sequence[str],
    probabilities: Mapping[str, Any],
    slices: Sequence[str] = (),
) -> pa.Table:
    """Writes the predictions for splits of the dataset version in the folder `dataset`, and returns them.

    `probabilities`: an array of shape (records, classes) for each split, its rows in the order of the manifest.
    `slices` are further columns of the manifest, which follow behind the probabilities. Raises ValueError where there
    are not as many rows as the split has records, DataError where the manifest has no such column.
    """
    with pq.ParquetFile(dataset / MANIFEST) as file:  # `read_table` imports pandas
        if missing := [name for name in slices if name not in file.schema_arrow.names]:
            raise DataError(
                f"the dataset version has no column {missing[0]}, which evaluate.slices names. Name it in data.columns."
            )
        manifest = file.read(columns=[*ID_COLUMNS, *slices])
    tables = []
    for split, values in probabilities.items():
        whole = manifest.filter(pc.equal(manifest["split"], split)).replace_schema_metadata(None)
        rows = whole.select(ID_COLUMNS)
        if values.shape != (rows.num_rows, len(classes)):
            raise ValueError(f"{split} has {rows.num_rows} records of {len(classes)} classes, not {values.shape}")
        flat = pa.array(values.reshape(-1), pa.float32())
        column = pa.FixedSizeListArray.from_arrays(flat, len(classes))
        rows = rows.append_column(pa.field(PROBABILITIES, column.type, nullable=False), column)
        for name in slices:
            rows = rows.append_column(whole.schema.field(name), whole[name])
        tables.append(rows)
    table = pa.concat_tables(tables).replace_schema_metadata({CLASSES_KEY: json.dumps(list(classes)).encode()})
    pq.write_table(table, path, compression="none", write_page_checksum=True)
    return table
