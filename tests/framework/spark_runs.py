"""Run with Spark by test_spark.py: datasets written by its workers in many ways, and in processes, as hashes.

    python spark_runs.py PROJECT FOLDER

`PROJECT` is a copy of the example, whose package has the sources of images below; its code goes to the workers.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

PROJECT, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
sys.path[:0] = [str(PROJECT)]

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from scans.fragile import Fragile  # type: ignore[import-not-found]  # noqa: E402

from lineage.base.errors import ProjectError, UnreadableImagesError  # noqa: E402
from lineage.compute.spark import SparkEngine  # noqa: E402
from lineage.dvc.dvcfile import read_pipeline  # noqa: E402
from lineage.records import sharding  # noqa: E402
from lineage.records.images import encode  # noqa: E402
from lineage.records.layout import Description  # noqa: E402
from lineage.records.preparation import RawImages  # noqa: E402
from lineage.records.raw import RAW_SCHEMA, RECORDS  # noqa: E402
from lineage.records.shard_cache import ShardCache  # noqa: E402
from lineage.settings.compute import Spark  # noqa: E402
from lineage.settings.data import Image  # noqa: E402

IMAGE = Image(size=8, channels=1, background="white", further_pages="refuse")
DESCRIPTION = Description(
    classes=["no"],
    image_size=8,
    channels=1,
    background="white",
    further_pages="refuse",
    split_by="hash",
    records={},
    subjects={},
)
RECORDS_IN_ALL, IN_A_GROUP = 240, 37
BROKEN = ("SCAN-011", "SCAN-012", "SCAN-200")
LOCAL = {"master": "local[2,4]", "python": None, "shared": None, "partitions": None, "conf": {}}


def raw(file: Path, broken: tuple[str, ...] = ()) -> Path:
    """Raw records in row groups, in no order."""
    random = np.random.default_rng(1)
    rows = []
    for number in random.permutation(RECORDS_IN_ALL):
        record, pixels = f"SCAN-{number:03d}", random.integers(0, 256, (1, 8, 8), dtype=np.uint8)
        image = b"no image" if record in broken else encode(pixels)
        rows.append({"record_id": record, "subject_id": f"PAT-{number % 41:02d}", "label": "no", "image": image})
    with pq.ParquetWriter(file, RAW_SCHEMA) as writer:
        for start in range(0, len(rows), IN_A_GROUP):
            writer.write_table(pa.Table.from_pylist(rows[start : start + IN_A_GROUP], schema=RAW_SCHEMA))
    return file


def write(name: str, engine: sharding.Engine, images: RawImages, file: Path) -> dict[str, Any]:
    """Hashes of the files of a dataset version, or why there is none. One record of seven is not used."""
    folder, cache = FOLDER / name, ShardCache(FOLDER / f"{name}.kept")
    table = pq.read_table(file, columns=["subject_id", "record_id", "label"])
    rows = table.append_column("split", pa.array(["train"] * table.num_rows))
    rows = rows.append_column(sharding.POSITION, pa.array(np.arange(table.num_rows)))
    rows = rows.filter(pa.array(np.arange(table.num_rows) % 7 != 0))
    salts = {"salt": "shards-1", "subject_salt": "project-1"}
    try:
        sharding.write_dataset(folder, rows, images, DESCRIPTION, subjects=3, **salts, cache=cache, engine=engine)
    except UnreadableImagesError as error:
        return {"unreadable": error.reasons, "left": folder.exists()}
    except ProjectError as error:
        return {"error": str(error)}
    files = (path for path in folder.rglob("*") if path.is_file())
    kept = len(list((FOLDER / f"{name}.kept").glob("*")))
    hashes = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {"files": hashes, "kept": kept, "used": len(cache.used)}


def runs() -> Iterator[tuple[str, dict[str, Any]]]:
    stage = read_pipeline(PROJECT).stage("preprocess")
    whole, torn = raw(FOLDER / RECORDS), raw(FOLDER / "torn.parquet", BROKEN)
    sharding.processors = lambda: 1
    yield "one machine", write("one machine", sharding.in_processes, RawImages(whole, IMAGE), whole)
    yield "torn on one machine", write("torn on one machine", sharding.in_processes, RawImages(torn, IMAGE), torn)

    def on_spark(name: str, images: RawImages, file: Path, **settings: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        with closing(SparkEngine(Spark(**{**LOCAL, **settings}), stage, FOLDER / "scratch")) as engine:
            yield name, {**write(name, engine, images, file), "facts": engine.facts}

    for partitions in (None, 1, 3, 17):
        yield from on_spark(f"partitions {partitions}", RawImages(whole, IMAGE), whole, partitions=partitions)
    yield from on_spark("torn", RawImages(torn, IMAGE), torn)
    (FOLDER / "marks").mkdir()
    yield from on_spark("fragile", Fragile(whole, IMAGE, FOLDER / "marks"), whole, partitions=3)
    yield from on_spark("shared", RawImages(whole, IMAGE), whole, shared=str(FOLDER / "meeting"))
    other = FOLDER / "others"
    (other / "numpy-0.1.dist-info").mkdir(parents=True)
    conf = {"spark.executorEnv.PYTHONPATH": str(other)}
    yield from on_spark("other packages", RawImages(whole, IMAGE), whole, conf=conf)
    yield (
        "left",
        {name: sorted(path.name for path in FOLDER.glob(f"{name}/*")) for name in ("scratch", "meeting", "marks")},
    )


if __name__ == "__main__":
    (FOLDER / "meeting").mkdir()
    (FOLDER / "results.json").write_text(json.dumps(dict(runs()), indent=2))
