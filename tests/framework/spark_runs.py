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
from lineage.records.raw import RAW_SCHEMA, RECORDS, with_columns  # noqa: E402
from lineage.records.shard_cache import ShardCache  # noqa: E402
from lineage.records.spark_shards import OnSpark  # noqa: E402
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


def raw(file: Path, broken: tuple[str, ...] = ()) -> Path:
    """Raw records in row groups, in no order."""
    random = np.random.default_rng(1)
    rows = []
    for number in random.permutation(RECORDS_IN_ALL):
        record, pixels = f"SCAN-{number:03d}", random.integers(0, 256, (1, 8, 8), dtype=np.uint8)
        image = b"no image" if record in broken else encode(pixels)
        who = {"record_id": record, "subject_id": f"PAT-{number % 41:02d}", "label": "no", "site": f"site {number % 3}"}
        rows.append({**who, "image": image})
    schema = with_columns(RAW_SCHEMA, ["site"])
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, len(rows), IN_A_GROUP):
            writer.write_table(pa.Table.from_pylist(rows[start : start + IN_A_GROUP], schema=schema))
    return file


def write(name: str, engine: sharding.Engine, images: RawImages, file: Path) -> dict[str, Any]:
    """Hashes of the files of a dataset version, or why there is none. One record of seven is not used."""
    folder, cache = FOLDER / name, ShardCache(FOLDER / f"{name}.kept")
    table = pq.read_table(file, columns=["subject_id", "record_id", "label", "site"])
    rows = table.append_column("split", pa.array(["train"] * table.num_rows))
    rows = rows.append_column(sharding.POSITION, pa.array(np.arange(table.num_rows)))
    rows = rows.filter(pa.array(np.arange(table.num_rows) % 7 != 0))
    try:
        sums = sharding.write_dataset(
            folder,
            rows,
            images,
            DESCRIPTION,
            subjects=3,
            salt="shards-1",
            subject_salt="project-1",
            cache=cache,
            engine=engine,
        )
    except UnreadableImagesError as error:
        return {"unreadable": error.reasons, "left": folder.exists()}
    except ProjectError as error:
        return {"error": str(error)}
    files = (path for path in folder.rglob("*") if path.is_file())
    kept = len(list((FOLDER / f"{name}.kept").glob("*.parquet")))
    hashes = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {"files": hashes, "kept": kept, "used": len(cache.used), "sums": sums}


def runs() -> Iterator[tuple[str, dict[str, Any]]]:
    stage = read_pipeline(PROJECT).stage("preprocess")
    whole, torn = raw(FOLDER / RECORDS), raw(FOLDER / "torn.parquet", BROKEN)
    yield "one machine", write("one machine", sharding.in_processes, RawImages(whole, IMAGE), whole)
    yield "torn on one machine", write("torn on one machine", sharding.in_processes, RawImages(torn, IMAGE), torn)

    settings = Spark(master="local[2,2]", python=None, shared=None, partitions=3, conf={})
    with closing(SparkEngine(settings, stage, FOLDER / "scratch")) as engine:
        yield "partitions 3", write("partitions 3", engine, RawImages(whole, IMAGE), whole)
        yield "facts", engine.facts

        def on_spark(partitions: int | None = None, shared: str | None = None) -> OnSpark:
            assert engine.driver is not None
            return OnSpark(engine.session, engine.driver, FOLDER / "scratch", shared, partitions)

        for number in (1, 17):
            name = f"partitions {number}"
            yield name, write(name, on_spark(number), RawImages(whole, IMAGE), whole)
        yield "torn", write("torn", on_spark(), RawImages(torn, IMAGE), torn)
        (FOLDER / "marks").mkdir()
        yield "fragile", write("fragile", on_spark(3), Fragile(whole, IMAGE, FOLDER / "marks"), whole)
        yield "shared", write("shared", on_spark(shared=str(FOLDER / "meeting")), RawImages(whole, IMAGE), whole)
        (FOLDER / "others" / "numpy-0.1.dist-info").mkdir(parents=True)
        engine.session.sparkContext.environment["PYTHONPATH"] = str(FOLDER / "others")  # of its workers from now on
        yield "other packages", write("other packages", engine, RawImages(whole, IMAGE), whole)
    folders = ("scratch", "meeting", "marks")
    yield "left", {name: sorted(path.name for path in FOLDER.glob(f"{name}/*")) for name in folders}


if __name__ == "__main__":
    (FOLDER / "meeting").mkdir()
    (FOLDER / "results.json").write_text(json.dumps(dict(runs()), indent=2))
