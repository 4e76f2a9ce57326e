"""Damage to what MLflow holds: found, named, never passed over."""

from __future__ import annotations

import contextlib
import json
import marshal
import re
import sqlite3

import pytest
from baked import Project
from command import Lineage
from damage import SECOND, artifact, edit, flip, overwrite, run_artifact, training_run
from servers import mlflow_server, refusing


def test_a_parameter_edited_in_the_store(project: Project, lineage: Lineage) -> None:
    run = training_run(project)
    assert project.sql("UPDATE params SET value = '0.5' WHERE key = 'train.lr' AND run_uuid = ?", run) == 1
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["parameters in MLflow"]
    assert "train.lr" in proof.not_passed["parameters in MLflow"]


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM params WHERE key = 'train.lr'", "INSERT INTO params SELECT 'train.magic', '1', run_uuid FROM runs"],
)
def test_a_parameter_removed_or_added_in_the_store(change: str, project: Project, lineage: Lineage) -> None:
    assert project.sql(change) > 0
    assert list(lineage.verify(project, SECOND).not_passed) == ["parameters in MLflow"]


VERSION_TAGS = [
    "model_identity",
    "dvc_raw_md5",
    "dvc_data_md5",
    "data_sha256",
    "dvc_model_md5",
    "model_sha256",
    "environment_md5",
    "artifact_sha256",
    "training_run_id",
    "mlflow.source.git.commit",
    "git_dirty",
    "result_git_commit_id",
    "data_git_commit_id",
]


@pytest.mark.parametrize("tag", VERSION_TAGS)
def test_a_tag_of_the_version_edited(tag: str, project: Project, lineage: Lineage) -> None:
    new = project.git("rev-parse", "HEAD~2") if "git_commit_id" in tag else "0" * 32
    assert project.sql("UPDATE model_version_tags SET value = ? WHERE key = ? AND version = 2", new, tag) == 1
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert tag in proof.output or new[:12] in proof.output


@pytest.mark.parametrize(
    "tag", ["dvc_raw_md5", "dvc_data_md5", "dvc_model_md5", "data_sha256", "dvc_stage", "environment_md5"]
)
def test_a_tag_of_the_training_run_edited(tag: str, project: Project, lineage: Lineage) -> None:
    changed = project.sql(
        "UPDATE tags SET value = ? WHERE key = ? AND run_uuid = ?", "f" * 32, tag, training_run(project)
    )
    assert changed == 1
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["training run"]
    assert (tag in proof.output) or tag == "dvc_stage"


def test_the_dataset_of_the_run_edited(project: Project, lineage: Lineage) -> None:
    assert project.sql("UPDATE datasets SET digest = ?", "0" * 32 + ".dir") > 0
    assert list(lineage.verify(project, SECOND).not_passed) == ["training run", "other runs"]


def test_a_deleted_run(project: Project, lineage: Lineage) -> None:
    run = training_run(project)
    project.store().client.delete_run(run)
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["training run"]
    assert run in proof.not_passed["training run"]
    assert "deleted" in proof.not_passed["training run"]


def test_a_purged_run(project: Project, lineage: Lineage) -> None:
    run = training_run(project)
    for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
        project.sql(f"DELETE FROM {table} WHERE run_uuid = ?", run)
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert run in proof.not_passed["training run"]


def test_a_version_pointed_to_another_run(project: Project, lineage: Lineage) -> None:
    first = training_run(project, "1")
    assert project.sql("UPDATE model_versions SET run_id = ? WHERE version = 2", first) == 1
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["version"]
    assert first in proof.not_passed["version"]


def test_a_version_pointed_to_another_model(project: Project, lineage: Lineage) -> None:
    changed = project.sql(
        "UPDATE model_versions SET source = (SELECT source FROM model_versions WHERE version = 1) WHERE version = 2"
    )
    assert changed == 1
    assert {"version", "registered artifact"} <= set(lineage.verify(project, SECOND).not_passed)


@pytest.mark.parametrize("name", ["model.safetensors", "serving.py", "requirements.txt", "MLmodel", "python_env.yaml"])
def test_a_registered_file_replaced(name: str, project: Project, lineage: Lineage) -> None:
    path = artifact(project, name)
    overwrite(path, flip(path.read_bytes()))
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["registered artifact"]
    assert name in proof.not_passed["registered artifact"]


def test_a_registered_file_added_or_removed(project: Project, lineage: Lineage) -> None:
    path = artifact(project, "serving.py")
    (path.parent / "sitecustomize.py").write_text("print('hello')\n")
    assert "sitecustomize.py" in lineage.verify(project, SECOND).not_passed["registered artifact"]
    (path.parent / "sitecustomize.py").unlink()
    path.unlink()
    fault = lineage.verify(project, SECOND).not_passed["registered artifact"]
    assert re.search(r"serving\.py of \S+ is absent", fault)


def test_loading_the_model_is_no_damage_but_other_bytecode_is(project: Project, lineage: Lineage) -> None:
    load = (
        "import mlflow; uri = 'sqlite:///mlflow.db'; mlflow.set_tracking_uri(uri); mlflow.set_registry_uri(uri); "
        f"mlflow.pyfunc.load_model('{SECOND}')"
    )
    project.run("python", "-c", load)
    compiled = artifact(project, "__init__.*.pyc")  # of the loader; that compiles all else from its source
    assert artifact(project, "registered_model_meta").exists()
    assert lineage.verify(project, SECOND).not_passed == {}
    foreign = compiled.with_name("__init__.cpython-27.pyc")
    foreign.write_bytes(compiled.read_bytes())
    proof = lineage.verify(project, SECOND)
    assert (proof.status, list(proof.not_passed)) == (2, ["registered artifact"])
    assert foreign.name in proof.not_passed["registered artifact"]
    foreign.unlink()
    other = marshal.dumps(compile("print('not the loader')", "__init__.py", "exec"))
    overwrite(compiled, compiled.read_bytes()[:16] + other)  # Python would run it, not __init__.py
    assert compiled.name in lineage.verify(project, SECOND).not_passed["registered artifact"]


def test_another_list_of_packages(project: Project, lineage: Lineage) -> None:
    path = run_artifact(project, "packages.txt")
    path.write_text(re.sub(r"^torch==.*$", "torch==1.0.0", path.read_text(), flags=re.MULTILINE))
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["environment"]
    assert "package torch" in proof.not_passed["environment"]


def test_two_projects_in_one_store(project: Project, lineage: Lineage) -> None:
    project.sql("UPDATE model_version_tags SET value = 'pother' WHERE key = 'project_id' AND version = 2")
    status, output = lineage.ask(project, "verify", SECOND)
    assert status == 2
    assert "another project" in output
    proof = lineage.verify(project, "--all")  # the mark is wrong: what it points to is this project's
    assert len({model["model"] for model in json.loads(proof.output)["models"]}) == 2
    assert "project_id" in proof.not_passed["version"]
    client, theirs = project.store().client, {"project_id": "pother"}
    run_id = client.create_run(client.create_experiment("theirs"), tags=theirs).info.run_id
    client.create_model_version("traceable-digits", "s3://bucket/theirs", run_id, tags=theirs)
    document = json.loads(lineage.run(project, "verify", "--all", "--json")[1])
    assert len(document["models"]) == 2
    assert project.params["project_id"] in document["scope"]
    assert "not looked at: 1" in document["scope"]
    project.sql("DELETE FROM model_version_tags WHERE key = 'project_id' AND version = 2")  # hidden from its project
    proof = lineage.verify(project, "--all")
    assert proof.status != 0
    assert "'INCONCLUSIVE'" in proof.state or "'FAIL'" in proof.state


def test_a_store_that_fails_once_and_then_answers(project: Project, lineage: Lineage) -> None:
    with mlflow_server(project, project.root / "mlflow.db") as server, refusing(server) as front:
        front.order("/logged-models/", times=1, status=403)
        edit(project.root / "params.yaml", "uri: sqlite:///mlflow.db", f"uri: {front.address}")()
        proof = lineage.verify(project, SECOND)
        assert (proof.status, proof.state) == (2, "INCONCLUSIVE"), proof.output
        (text,) = proof.not_passed.values()  # the one link that asked first
        assert front.address in text
        assert lineage.verify(project, SECOND).not_passed == {}


def test_a_database_that_is_locked(project: Project, lineage: Lineage) -> None:
    with contextlib.closing(sqlite3.connect(project.root / "mlflow.db", isolation_level=None)) as store:
        store.execute("BEGIN EXCLUSIVE")
        status, output = lineage.ask(project, "verify", SECOND)
    assert status == 2
    assert "Traceback" not in output
    assert lineage.verify(project, SECOND).state == "PASS"
