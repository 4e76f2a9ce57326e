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

from .layout import MANIFEST

ID_COLUMNS = ("record_id", "subject_id", "split", "label")  # of the manifest
PROBABILITIES = "probabilities"
CLASSES_KEY = b"classes"  # in the metadata: their names in the order of the probabilities, as JSON


def write_predictions(path: Path, dataset: Path, classes: Sequence[str], probabilities: Mapping[str, Any]) -> None:
    """Writes the predictions for splits of the dataset version in the folder `dataset`.

    `probabilities`: an array of shape (records, classes) for each split, its rows in the order of the manifest. Raises
    ValueError where these are not as many as the split has records.
    """
    with pq.ParquetFile(dataset / MANIFEST) as file:  # `read_table` imports pandas
        manifest = file.read(columns=list(ID_COLUMNS))
    tables = []
    for split, values in probabilities.items():
        rows = manifest.filter(pc.equal(manifest["split"], split)).replace_schema_metadata(None)
        if values.shape != (rows.num_rows, len(classes)):
            raise ValueError(f"{split} has {rows.num_rows} records of {len(classes)} classes, not {values.shape}")
        flat = pa.array(values.reshape(-1), pa.float32())
        column = pa.FixedSizeListArray.from_arrays(flat, len(classes))
        tables.append(rows.append_column(pa.field(PROBABILITIES, column.type, nullable=False), column))
    table = pa.concat_tables(tables).replace_schema_metadata({CLASSES_KEY: json.dumps(list(classes)).encode()})
    pq.write_table(table, path, compression="none", write_page_checksum=True)
