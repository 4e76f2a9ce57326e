"""`compute.engine.preprocess=spark` in a project: the dataset version of one machine, or clear words why not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from baked import Project
from command import Lineage
from spark_environment import NO_JAVA, QUICK, with_spark

pytestmark = pytest.mark.usefixtures("new_processes")  # of another environment

DATA = "data/processed"


@pytest.fixture(scope="module")
def project(baseline: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the baseline whose preprocess is to run on Spark, and whose shards are in no cache."""
    project = baseline.copy(tmp_path_factory.mktemp("spark"))
    shutil.rmtree(project.root / ".dvc" / "tmp" / "kept")
    project.compose("compute.engine.preprocess=spark", "compute.spark.master='local[2]'")
    return project


def repro(project: Project, code: int = 0) -> str:
    return project.dvc("repro", "--force", "--single-item", "--no-run-cache", "preprocess", code=code)


def test_another_engine_makes_nothing_run_again(project: Project) -> None:
    assert "Running stage 'preprocess'" not in project.dvc("repro", "preprocess")


def test_without_the_extra_the_stage_says_what_to_do(project: Project) -> None:
    before = sorted((project.root / DATA).rglob("*"))
    said = repro(project, code=255)
    assert (
        "compute.engine.preprocess is spark, and pyspark is not installed here. `make setup-spark` installs it" in said
    )
    assert "Traceback" not in said
    assert sorted((project.root / DATA).rglob("*")) == before


@pytest.fixture(scope="module")
def spark(project: Project) -> Project:
    """The same, in an environment with the extra."""
    path = [str(with_spark()), str(project.venv / "bin"), os.environ["PATH"]]
    return Project(project.root, project.venv, {**project.environment, "PATH": os.pathsep.join(path)})


def test_without_java_the_stage_says_what_to_do(spark: Project, tmp_path: Path) -> None:
    homeless = Project(spark.root, spark.venv, {**spark.environment, "JAVA_HOME": str(tmp_path)})
    said = repro(homeless, code=255)
    assert f"Spark needs Java, and there is none below JAVA_HOME ({tmp_path}). Install a JRE of 17 or later" in said
    assert "Traceback" not in said


@pytest.mark.skipif(bool(NO_JAVA), reason=NO_JAVA)
def test_the_dataset_version_is_that_of_one_machine(spark: Project, baseline: Project, tmp_path: Path) -> None:
    for name in ("numpy", "lineage", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a worker has loaded this')\n")
    # what would bring in another Spark, or other code
    foreign = {"SPARK_HOME": "/nowhere", "PYTHONPATH": str(tmp_path), "PYSPARK_SUBMIT_ARGS": "--master yarn"}
    hostile = Project(spark.root, spark.venv, {**spark.environment, **foreign, **QUICK})
    shutil.rmtree(spark.root / DATA)
    hostile.run("python", "-I", "scripts/stage.py", "traceable_digits.stages.preprocess")
    assert "up to date" in spark.dvc("status", "preprocess")
    tags = spark.store().runs("preprocess")[-1].data.tags
    assert tags["spark_master"] == "local[2]"
    assert tags["spark_version"][0].isdigit()
    assert tags["dvc_data_md5"] == baseline.out("preprocess", DATA)
    assert not (spark.root / ".dvc" / "tmp" / "spark").exists()
    assert "sagemaker_job_name" not in tags
