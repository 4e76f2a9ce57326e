"""One version for each model identity, wherever one comes from and goes back to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_standin.container import Container, can_run
from baked import Project
from servers import mlflow_server


@pytest.fixture(scope="module")
def sandbox(linked: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two models that these tests share and change in turn."""
    return linked.copy(tmp_path_factory.mktemp("sandbox"))


def test_going_from_a_to_b_and_back_to_a(sandbox: Project) -> None:
    a = sandbox.run("git", "show", f"{sandbox.commit_of('First model')}:lineage.json")
    assert sandbox.store().candidate() == "2"
    assert (sandbox.root / "lineage.json").read_text() != a
    sandbox.compose()
    output = sandbox.dvc("repro")
    assert "Stage 'train' is cached" in output
    store = sandbox.store()
    assert store.candidate() == "1"
    assert len(store.versions()) == 2
    assert len(store.runs("train")) == 2
    assert (sandbox.root / "lineage.json").read_text() == a
    # repeated without a cause, it changes nothing
    sandbox.dvc("repro", "--force", "--single-item", "register")
    store = sandbox.store()
    assert len(store.versions()) == 2
    for version in store.versions():
        shown = store.client.get_logged_model(version.source.removeprefix("models:/")).metrics
        assert len(shown) == len({metric.key for metric in shown}) > 4


def test_equal_weights_from_other_data_are_another_model(sandbox: Project) -> None:
    """Another test split leaves train and val as they were: the weights are equal, the dataset is not."""
    before = sandbox.lineage["model"]
    sandbox.compose("data.shards.salt=another")
    sandbox.dvc("repro")
    after = sandbox.lineage["model"]
    assert sandbox.store().versions()[-1].tags["model_identity"] == after["identity"] != before["identity"]
    assert after["md5"] == before["md5"]
    assert after["version"] != before["version"]


def test_two_experiments_that_share_a_cached_training_share_its_version(sandbox: Project) -> None:
    sandbox.commit("As it is")
    trained = len(sandbox.store().runs("train"))
    versions = len(sandbox.store().versions())
    evaluated = len(sandbox.store().runs("evaluate"))
    for size in (64, 128):
        sandbox.dvc("exp", "run", "-S", "data.shards.salt=another", "-S", f"evaluate.batch_size={size}")
    store = sandbox.store()
    shown = store.client.get_logged_model(store.versions()[-1].source.removeprefix("models:/")).metrics
    assert len(shown) == len({metric.key for metric in shown})  # of the evaluation that made the version
    assert len(store.runs("train")) == trained
    assert len(store.versions()) == versions
    runs = store.runs("evaluate")[evaluated:]
    assert [run.data.params["evaluate.batch_size"] for run in runs] == ["64", "128"]
    parent = sandbox.lineage["training_run"]["run_id"]
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent}
    # nobody but train writes to the training run
    assert "evaluate.batch_size" not in store.client.get_run(parent).data.params


@pytest.fixture
def server(sandbox: Project, tmp_path: Path) -> Iterator[str]:
    """The address of a running `mlflow server` that nothing was logged to."""
    with mlflow_server(sandbox, tmp_path / "server.db") as address:
        yield address


def test_another_tracking_store_gets_the_model_by_the_next_repro(sandbox: Project, server: str) -> None:
    trained = len(sandbox.store().runs("train"))
    sandbox.compose("data.shards.salt=another", f"tracking.uri={server}")
    output = sandbox.dvc("repro")
    assert [line for line in output.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'config':",
        "Running stage 'register':",
    ] or "Running stage 'evaluate':" in output  # evaluate was changed by the experiments before
    assert "Running stage 'train':" not in output
    store = sandbox.store(server)
    (version,) = store.versions()
    assert "others use this registry, so `lineage link` moves it when the result is committed" in output
    assert version.tags["model_identity"] == sandbox.lineage["model"]["identity"]
    assert version.tags["training_run_id"] == sandbox.lineage["training_run"]["run_id"]
    assert version.tags["training_tracking_uri"] == "sqlite:///mlflow.db"
    # the training run is in the other store, so the version leads to the run that registered it
    (registering,) = store.runs("register")
    assert version.run_id == registering.info.run_id
    assert len(sandbox.store(server).runs("train")) == 0
    assert sandbox.params["tracking"]["uri"] == server
    sandbox.store()
    assert len(sandbox.store().runs("train")) == trained


def test_without_callbacks_the_model_is_registered_and_its_chain_written(sandbox: Project) -> None:
    runs = len(sandbox.store().runs("train"))
    sandbox.compose("train=debug", "train.seed=3", "callbacks=none")
    sandbox.dvc("repro")
    store = sandbox.store()
    assert len(store.runs("train")) == runs
    version = store.versions()[-1]
    assert version.tags["dvc_model_md5"] == sandbox.out("train", "models/model.safetensors")
    assert version.tags["training_run_id"] == "unknown"
    assert not version.run_id
    model = store.client.get_logged_model(version.source.removeprefix("models:/"))
    assert model.artifact_location.startswith((sandbox.root / "mlartifacts").as_uri())
    assert "run_id" not in sandbox.lineage["training_run"]
    assert sandbox.lineage["model"]["version"] == str(version.version)


def test_a_model_that_fails_on_its_own_example_is_not_registered(sandbox: Project) -> None:
    store = sandbox.store()
    experiment = [store.runs("train")[0].info.experiment_id]
    before, stored = store.versions(), len(store.client.search_logged_models(experiment))
    sandbox.compose("train=debug", "train.seed=11")
    serving = sandbox.root / "traceable_digits" / "serving.py"
    text = serving.read_text()
    serving.write_text(text.replace('self._header["channels"]', 'self._header["colours"]'))
    output = sandbox.dvc("repro", code=255)
    line = serving.read_text()[: serving.read_text().index('["colours"]')].count("\n") + 1
    assert f"fails with KeyError: 'colours' (traceable_digits/serving.py, line {line}). Mend that" in output
    assert "Traceback" not in output
    # what the checkout has, and the registered code has not
    late = 'import importlib\n\n        importlib.import_module("traceable_digits." + "tables")\n        size, channels'
    serving.write_text(text.replace("size, channels", late, 1))
    output = sandbox.dvc("repro", "--single-item", "register", code=255)
    serving.write_text(text)
    assert "fails with ModuleNotFoundError: No module named 'traceable_digits'" in output
    assert store.versions() == before
    assert len(store.client.search_logged_models(experiment)) == stored
    assert store.runs("register")[-1].info.status == "FAILED"


@pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
def test_a_job_registers_nothing(linked: Project, tmp_path: Path) -> None:
    """Where the folder and the variable are those of a job, whoever has set them."""
    inside = linked.copy(tmp_path / "work")
    spec = {"stage": "register", "inputs": {}, "outputs": [], "remote": {}, "has_git": True}
    spec["callbacks"] = {"mlflow": {"run_id": inside.store().runs("register")[-1].info.run_id}}
    spec |= {"backend": "lineage.compute.backend.Local", "folder": f"/opt/ml/work/{inside.root.name}"}
    spec |= {"checkpoints": None, "started_from": None}
    container = Container(tmp_path, grace=1)
    container.write("/opt/ml/job_spec.json", spec)
    environment = {**os.environ, **inside.environment, "PIPELINE_JOB_SPEC": "/opt/ml/job_spec.json"}
    inside.sql("UPDATE experiments SET artifact_location = replace(artifact_location, ?, '/opt/ml')", str(tmp_path))
    environment["PATH"] = os.pathsep.join([str(inside.venv / "bin"), os.environ["PATH"]])
    before = inside.store().versions()
    command = f"cd /opt/ml/work/{inside.root.name} && exec dvc repro --force --single-item register"
    output = "".join(container.run(inside.venv / "bin", ["sh", "-c", command], environment))
    assert container.code == 255, output
    assert "this is a job: it cannot ask who has consented, so nothing is registered from there" in output, output
    assert inside.store().versions() == before


BOTH = """
import sys
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
first, second = (mlflow.pyfunc.load_model(f"models:/traceable-digits/{number}") for number in sys.argv[2:])
example = first.input_example
for model in (second, first, second, mlflow.pyfunc.load_model(f"models:/traceable-digits/{sys.argv[2]}")):
    print("sum:", round(float(model.predict(example).sum().sum()), 6))
print("loaded:", sorted({name.partition(".")[0] for name in sys.modules} & {"lineage", "traceable_digits"}))
"""


def test_two_versions_with_different_code_live_in_one_process(project: Project, tmp_path: Path) -> None:
    """Each is what it was registered with, in whatever order they are used, with what it imports late as well."""
    images = project.root / "lineage" / "records" / "images.py"
    images.write_text(images.read_text() + "\n\ndef twice(number: float) -> float:\n    return 2 * number\n")
    serving = project.root / "traceable_digits" / "serving.py"
    before = "return pd.DataFrame(self._probabilities(pixels),"
    late = "from lineage.records.images import twice\n\n        return pd.DataFrame(twice(self._probabilities(pixels)),"
    assert before in serving.read_text()
    serving.write_text(serving.read_text().replace(before, late, 1))
    project.compose("train=debug", "train.seed=2")
    project.dvc("repro")
    store = project.store()
    numbers = [str(version.version) for version in store.versions()][-2:]
    # two images, whose probabilities add up to 1, and those of the second version to 2
    elsewhere = Project(tmp_path, project.venv, project.environment)
    output = elsewhere.run("python", "-W", "ignore", "-c", BOTH, store.uri, *numbers)
    assert [line for line in output.splitlines() if line.startswith("sum: ")] == ["sum: 4.0", "sum: 2.0"] * 2
    assert "loaded: []" in output
