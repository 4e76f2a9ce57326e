"""Spark's workers give the same dataset version, byte for byte, however their work is divided, fails, is repeated."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from pydantic import ValidationError
from spark_environment import NO_JAVA, QUICK, with_spark

from lineage.base.errors import LineageError, SettingsError
from lineage.compute.spark import SparkEngine, pack_code, require_engine
from lineage.dvc.dvcfile import read_pipeline
from lineage.records.dataset import Row
from lineage.records.profile import Sums
from lineage.records.spark_shards import Staging, Task, write_shards
from lineage.records.workplace import WorkerError, here
from lineage.settings.compute import Compute, Spark

FRAGILE = '''
"""Images whose reader fails: each task once, after its first shard; and once the whole process ends."""

import os
from pathlib import Path

from pyspark import TaskContext

from lineage.records.preparation import RawImages


class Fragile(RawImages):
    def __init__(self, file, settings, marks):
        super().__init__(file, settings)
        self.marks = marks
        self.shards = 0

    def stored(self, rows, images):
        self.shards += 1
        mark = self.marks / str(TaskContext.get().partitionId())
        if self.shards == 2 and not mark.exists():
            mark.touch()
            if mark.name == "0":
                os._exit(1)
            raise RuntimeError("this worker fails at first")
        return super().stored(rows, images)
'''


@pytest.fixture(scope="module")
def runs(copy_to: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What spark_runs.py found."""
    if NO_JAVA:
        pytest.skip(NO_JAVA)
    folder = tmp_path_factory.mktemp("spark")
    project = copy_to(folder / "project")
    (project / "scans" / "fragile.py").write_text(FRAGILE)
    results = folder / "runs"
    results.mkdir()
    script = Path(__file__).with_name("spark_runs.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SPARK"))}
    environment |= QUICK
    command = [str(with_spark() / "python"), "-B", str(script), str(project), str(results)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads((results / "results.json").read_text())
    return found


@pytest.mark.parametrize("partitions", [1, 3, 17])
def test_any_number_of_partitions_gives_the_same_bytes(partitions: int, runs: dict[str, dict[str, Any]]) -> None:
    assert len(runs["one machine"]["files"]) > 10
    assert runs[f"partitions {partitions}"]["files"] == runs["one machine"]["files"]
    assert runs[f"partitions {partitions}"]["sums"] == runs["one machine"]["sums"] != {}


def test_failed_and_repeated_tasks_change_nothing(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["fragile"]["files"] == runs["one machine"]["files"]
    assert runs["left"]["marks"] == ["0", "1", "2"]  # each of the three tasks has failed once


def test_unreadable_images_are_named_as_on_one_machine(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["torn"]["unreadable"] == runs["torn on one machine"]["unreadable"] != {}
    assert runs["torn"]["left"] is False


def test_shards_of_one_machine_come_from_its_cache(runs: dict[str, dict[str, Any]]) -> None:
    shards = sum(name.startswith("shards/") for name in runs["one machine"]["files"])
    assert runs["partitions 3"]["kept"] == runs["partitions 3"]["used"] == shards


def test_other_machines_meet_in_a_shared_folder(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["shared"]["files"] == runs["one machine"]["files"]
    assert runs["shared"]["sums"] == runs["one machine"]["sums"]
    assert runs["shared"]["kept"] == 0


def test_a_worker_with_other_packages_is_refused(runs: dict[str, dict[str, Any]]) -> None:
    assert "is not as the driver: its numpy is 0.1, the driver's" in runs["other packages"]["error"]


def test_what_did_the_work_is_told(runs: dict[str, dict[str, Any]]) -> None:
    facts = runs["facts"]
    assert facts["spark_master"] == "local[2,2]"
    assert facts["spark_workers"] == platform.node()
    assert len(facts["spark_workplace_sha256"]) == len(facts["spark_code_sha256"]) == 64


def test_nothing_is_left_behind(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["left"]["scratch"] == runs["left"]["meeting"] == []


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """What workers are told, of images that are in no file: this process is driver and worker."""
    (tmp_path / "staging").mkdir()
    return Task(Plain(), [], 8, str(tmp_path / "staging"), None, here(""))


class Plain:
    """Images that are stored as they come."""

    settings, count, size = "plain", 4, 40
    files: ClassVar[list[Path]] = []

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from ()

    def stored(self, rows: Sequence[Row], images: pa.Table) -> tuple[list[bytes], Sums]:
        return images["image"].to_pylist(), {"train": {"totals": [len(rows)]}}


def partition() -> Iterator[pa.RecordBatch]:
    """Two shards, the second in two batches."""
    for shard, places in ((0, [0, 1]), (1, [2]), (1, [3])):
        names = [f"SCAN-{place}" for place in places]
        texts = {"subject_id": names, "record_id": names, "split": ["train"] * len(names), "label": names}
        images = {"image": [name.encode() for name in names], "path": names}
        yield pa.record_batch({"shard": [shard] * len(names), "place": places, **texts, **images})


def test_a_task_that_runs_twice_writes_under_other_names(task: Task) -> None:
    first, second = ([row for batch in write_shards(task, partition()) for row in batch.to_pylist()] for _ in range(2))
    assert [row["shard"] for row in first] == [0, 1]
    assert [row["sha256"] for row in first] == [row["sha256"] for row in second]
    assert len({row["file"] for row in [*first, *second]}) == 4
    assert len(list(Path(task.staging).iterdir())) == 4


def test_a_shard_that_was_damaged_on_its_way_is_refused(task: Task, tmp_path: Path) -> None:
    staging = Staging(str(tmp_path), is_shared=True)
    there = replace(task, staging=staging.address)
    whole, torn = (row for batch in write_shards(there, partition()) for row in batch.to_pylist())
    (Path(staging.address) / torn["file"]).write_bytes(b"PAR1")
    staging.take(whole["file"], whole["sha256"], tmp_path / "taken")
    assert hashlib.sha256((tmp_path / "taken").read_bytes()).hexdigest() == whole["sha256"]
    with pytest.raises(LineageError, match="is not what a worker has written"):
        staging.take(torn["file"], torn["sha256"], tmp_path / "taken")


def test_a_worker_with_other_code_is_refused(task: Task) -> None:
    other = replace(task, driver=here("the hash of an archive"))
    with pytest.raises(WorkerError, match="it has other code of the project"):
        next(write_shards(other, partition()))


def test_the_code_for_workers_is_the_same_for_the_same_sources(copy: Path, tmp_path: Path) -> None:
    first = pack_code(copy, tmp_path / "first.zip")
    (copy / "lineage" / "contract.py").touch()
    assert pack_code(copy, tmp_path / "second.zip") == first
    (copy / "lineage" / "contract.py").write_text("# another\n")
    assert pack_code(copy, tmp_path / "third.zip") != first


@pytest.mark.skipif(bool(NO_JAVA), reason=NO_JAVA)
def test_what_a_cluster_needs_is_asked_for_before_anything_starts(copy: Path, params: dict[str, Any]) -> None:
    script = "import json, sys; from pathlib import Path; from lineage.settings.compute import Spark; "
    script += "from lineage.compute.spark import SparkEngine; from lineage.dvc.dvcfile import read_pipeline; "
    script += "stage = read_pipeline(Path.cwd()).stage('preprocess'); "
    script += "SparkEngine(Spark(**json.loads(sys.argv[1])), stage, Path('scratch'))"
    for more, said in (
        ({"master": "yarn"}, "HADOOP_CONF_DIR does not say where its files are"),
        ({"master": "spark://host:7077"}, "compute.spark.shared must be set"),
    ):
        given = json.dumps({**params["compute"]["spark"], **more})
        command = [str(with_spark() / "python"), "-B", "-c", script, given]
        clean = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
        done = subprocess.run(command, cwd=copy, env=clean, capture_output=True, text=True, check=False)
        assert "SettingsError" in done.stderr
        assert said in done.stderr
        assert not (copy / "scratch").exists()


def test_spark_that_is_not_installed(copy: Path, params: dict[str, Any], tmp_path: Path) -> None:
    settings = Compute.model_validate(params["compute"]).spark
    with pytest.raises(SettingsError, match=r"pyspark is not installed here. `make setup-spark`"):
        SparkEngine(settings, read_pipeline(copy).stage("preprocess"), tmp_path)


@pytest.mark.parametrize("stage", ["train", "trian"])
def test_a_stage_without_a_dataset_has_no_engine(stage: str, copy: Path, params: dict[str, Any]) -> None:
    compute = Compute.model_validate({**params["compute"], "engine": {stage: "spark"}})
    with pytest.raises(SettingsError, match=f"{stage} makes no dataset version"):
        require_engine(compute, read_pipeline(copy))


@pytest.mark.parametrize(
    ("key", "value"),
    {"shared": "s3://key:secret@bucket/x", "partitions": 0, "conf": {"executor": "1"}, "mastr": "yarn"}.items(),
)
def test_settings_that_cannot_be_right(key: str, value: Any, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=key):
        Spark.model_validate({**params["compute"]["spark"], key: value})
