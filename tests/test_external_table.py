"""Manifests and shards are what docs/tables.md tells Athena and Spark that they are."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from baked import Project

ARROW = {"STRING": pa.string(), "BINARY": pa.binary()}  # by Hive's name; DuckDB knows both names
TABLES = ("manifests", "shards")
RECORDS = 1797
CREATE = re.compile(r"^CREATE EXTERNAL TABLE (\w+) \((.*?)\)$(.*?);$", re.DOTALL | re.MULTILINE)
PARTITION = re.compile(r"^PARTITIONED BY \((.*)\)$", re.MULTILINE)
LOCATION = re.compile(r"^LOCATION 's3://BUCKET/(.*/)'$", re.MULTILINE)


@dataclass(frozen=True)
class Definition:
    """A `CREATE EXTERNAL TABLE` of the docs."""

    columns: dict[str, str]  # the type by the name, both as Hive writes them
    partition: dict[str, str]
    location: str  # in the bucket

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(name, ARROW[kind], nullable=False) for name, kind in self.columns.items()])

    @property
    def sql(self) -> str:
        """The columns of a table that holds the same, in DuckDB."""
        return ", ".join(f"{name} {kind} NOT NULL" for name, kind in (self.columns | self.partition).items())


@pytest.fixture(scope="module")
def docs(baseline: Project) -> str:
    return (baseline.root / "docs" / "tables.md").read_text()


@pytest.fixture(scope="module")
def definitions(docs: str) -> dict[str, Definition]:
    found = {}
    for name, columns, rest in CREATE.findall(docs):
        assert "STORED AS PARQUET" in rest
        found[name] = Definition(_pairs(columns), _pairs(PARTITION.search(rest)[1]), LOCATION.search(rest)[1])
    assert tuple(sorted(found)) == TABLES
    return found


@pytest.fixture(scope="module")
def dataset(baseline: Project) -> str:
    return baseline.out("preprocess", "data/processed")


@pytest.fixture(scope="module")
def bucket(baseline: Project, dataset: str, docs: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the bucket of the docs holds after their commands."""
    bucket = tmp_path_factory.mktemp("bucket")
    processed = baseline.root / "data" / "processed"
    sources = {}
    for source, target in re.findall(r"^aws s3 (?:cp|sync) DIR/(\S+) s3://BUCKET/(\S+)$", docs, re.MULTILINE):
        sources[source] = bucket / target.replace("HASH.dir", dataset)
    assert sources.keys() == {"manifest.parquet", "shards"}
    sources["manifest.parquet"].parent.mkdir(parents=True)
    shutil.copy(processed / "manifest.parquet", sources["manifest.parquet"])
    shutil.copytree(processed / "shards", sources["shards"])
    return bucket


@pytest.mark.parametrize("name", TABLES)
def test_every_file_has_the_documented_columns_and_no_other(
    bucket: Path, definitions: dict[str, Definition], name: str
) -> None:
    files = _files(bucket, definitions[name])
    assert files
    for path in files:
        schema = pq.read_schema(path).remove_metadata()
        assert schema.equals(definitions[name].arrow), path.name
        assert not definitions[name].partition.keys() & set(schema.names)


@pytest.mark.parametrize("name", TABLES)
def test_arrow_reads_the_table_by_its_definition(
    bucket: Path, definitions: dict[str, Definition], dataset: str, name: str
) -> None:
    definition = definitions[name]
    partition = pa.schema([(column, ARROW[kind]) for column, kind in definition.partition.items()])
    table = ds.dataset(
        bucket / definition.location,
        schema=pa.unify_schemas([definition.arrow, partition]),
        format="parquet",
        partitioning=ds.partitioning(partition, flavor="hive"),
    ).to_table()
    assert table.num_rows == RECORDS
    assert table.column_names == [*definition.columns, "dataset"]
    assert [column.null_count for column in table.columns] == [0] * table.num_columns
    assert table["dataset"].unique().to_pylist() == [dataset]


@pytest.mark.parametrize("name", TABLES)
def test_duckdb_reads_the_table_by_its_definition(
    bucket: Path, definitions: dict[str, Definition], dataset: str, name: str
) -> None:
    definition = definitions[name]
    source = f"read_parquet('{bucket}/{definition.location}*/*', hive_partitioning=true, hive_types_autocast=false)"
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE documented ({definition.sql})")
        database.execute(f"CREATE VIEW found AS SELECT * FROM {source}")
        documented, found = (
            [row[:2] for row in database.execute(f"DESCRIBE {table}").fetchall()] for table in ("documented", "found")
        )
        assert documented == found
        database.execute("INSERT INTO documented BY NAME FROM found")
        assert database.execute("SELECT dataset, count(*) FROM documented GROUP BY ALL").fetchall() == [
            (dataset, RECORDS)
        ]


def test_both_tables_hold_the_same_records(bucket: Path, definitions: dict[str, Definition]) -> None:
    columns = ", ".join(definitions["manifests"].columns)
    with duckdb.connect() as database:
        manifests, shards = (
            f"(SELECT {columns} FROM read_parquet('{bucket}/{definitions[name].location}*/*'))" for name in TABLES
        )
        for more, fewer in ((manifests, shards), (shards, manifests)):
            assert database.execute(f"FROM {more} EXCEPT ALL FROM {fewer}").fetchall() == []
        images = f"read_parquet('{bucket}/{definitions['shards'].location}*/*')"
        assert database.execute(f"FROM {images} WHERE sha256(image) != content_sha256").fetchall() == []


@pytest.mark.parametrize("name", TABLES)
def test_dvcs_own_objects_are_readable_by_the_definition(
    baseline: Project, definitions: dict[str, Definition], dataset: str, name: str
) -> None:
    """As they are in the remote: named by their hashes, without an ending, at the addresses that the docs list."""
    prefix = "shards/" if name == "shards" else "manifest.parquet"
    listed = [file["md5"] for file in baseline.listing(dataset) if file["relpath"].startswith(prefix)]
    objects = [baseline.remote / "files" / "md5" / md5[:2] / md5[2:] for md5 in listed]
    assert objects
    assert {path.suffix for path in objects} == {""}
    assert ds.dataset(objects, schema=definitions[name].arrow, format="parquet").count_rows() == RECORDS
    assert all(pq.read_schema(path).names == list(definitions[name].columns) for path in objects)
    with duckdb.connect() as database:
        rows = database.read_parquet([str(path) for path in objects])
        assert rows.columns == list(definitions[name].columns)
        assert len(rows) == RECORDS


def test_spark_is_given_the_same_columns(docs: str, definitions: dict[str, Definition]) -> None:
    columns = re.search(r'^columns = "(.*)"$', docs, re.MULTILINE)[1]
    read = dict(re.findall(r'^(\w+) = spark\.read\.schema\(f"(.*?)"\)\.parquet\(', docs, re.MULTILINE))
    assert sorted(read) == list(TABLES)
    manifests, shards = (_pairs(read[name].replace("{columns}", columns)) for name in TABLES)
    assert manifests == definitions["manifests"].columns | definitions["manifests"].partition
    assert shards == definitions["shards"].columns


def _pairs(columns: str) -> dict[str, str]:
    """The type by the name of a list of columns."""
    return dict(column.split() for column in columns.split(","))


def _files(bucket: Path, definition: Definition) -> list[Path]:
    return [path for path in (bucket / definition.location).rglob("*") if path.is_file()]
