"""An MLflow server that is not there or fails half-way: it is asked again; nothing is registered without its chain."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest
from baked import Project
from command import Lineage
from servers import Refusing, mlflow_server, refusing

FOR_GOOD = 10_000
# as many tries as ever, and no long waits between them
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}


@pytest.fixture(scope="module")
def front(installed: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(installed, folder / "mlflow.db") as server, refusing(server) as front:
        yield front


@pytest.fixture(scope="module")
def shop(baseline: Project, front: Refusing, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone of the baseline whose model the server does not have yet."""
    project = baseline.clone(tmp_path_factory.mktemp("shop") / baseline.root.name)
    project.environment = {**project.environment, **PATIENCE}
    project.compose(f"tracking.uri={front.address}")
    return project


def refusal(project: Project, stage: str) -> str:
    """The one sentence with which a stage ends."""
    output = project.dvc("repro", code=255)
    assert "Traceback" not in output
    (sentence,) = (line for line in output.splitlines() if line.startswith(f"{stage}: "))
    assert len(sentence) < 700
    return sentence


def test_a_server_that_is_not_there(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = baseline.clone(tmp_path_factory.mktemp("alone") / baseline.root.name)
    project.compose("tracking.uri=http://127.0.0.1:9")
    assert "http://127.0.0.1:9 does not answer (" in refusal(project, "register")
    assert not (project.root / "lineage.json").exists()
    assert project.lock["register"] == baseline.lock["register"]


@pytest.mark.parametrize("request_", ["/runs/create", "/registered-models/create", "/model-versions/create"])
def test_a_server_that_fails_for_good(request_: str, shop: Project, front: Refusing) -> None:
    front.order(request_, times=FOR_GOOD)
    assert f"at {front.address}: " in refusal(shop, "register")
    assert len(front.refused) > 3  # asked again
    assert shop.store(front.address).versions() == []
    assert not (shop.root / "lineage.json").exists()


def findings(project: Project, lineage: Lineage) -> dict[str, tuple[str, str]]:
    """What doctor says of the registry."""
    found = json.loads(lineage.run(project, "doctor", "--json")[1])
    return {item["check"]: (item["state"], item["text"]) for item in found if item["check"] in ("candidate", "models")}


def test_it_goes_on_where_the_server_failed(shop: Project, front: Refusing, lineage: Lineage) -> None:
    """The version has its chain from the start; the alias of a registry that others use comes after the commit."""
    front.order("/model-versions/", times=2, status=503)
    assert "others use this registry, so `lineage link` moves it" in shop.dvc("repro")
    assert len(front.refused) == 2
    store = shop.store(front.address)
    (version,) = store.versions()
    assert {"model_identity", "dvc_data_md5", "project_id"} <= version.tags.keys()
    shop.commit("Registered at a server")
    shop.dvc("push", "--quiet")
    front.order("/registered-models/alias", times=FOR_GOOD)
    assert f"at {front.address}: " in lineage(shop, "link", code=1)
    front.order("", times=0)
    lineage(shop, "link")
    assert (len(store.versions()), store.candidate()) == (1, "1")
    assert findings(shop, lineage) == {
        "candidate": ("right", "models:/traceable-digits@candidate is version 1, the model of this checkout"),
        "models": ("right", "MLflow has a version of each of the 1 that Git holds"),
    }
    # the training run is in the store of another clone, which is not here; the version itself is as register made it
    proof = lineage.verify(shop, "models:/traceable-digits/1")
    assert not {"version", "registered artifact"} & proof.not_passed.keys()


def test_metrics_that_a_server_did_not_take_at_once_are_all_there(shop: Project, front: Refusing) -> None:
    shop.compose(f"tracking.uri={front.address}", "train=debug", "train.epochs=2")
    impatient = Project(shop.root, shop.venv, {**shop.environment, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
    front.order("/runs/log-batch", times=1, body="train_loss")
    output = impatient.dvc("repro")
    assert len(front.refused) == 1
    assert "warning: could not log metrics" in output
    store = shop.store(front.address)
    (run,) = store.runs("train")
    assert [metric.step for metric in store.client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2]


def test_a_server_that_goes_while_a_stage_works(shop: Project, front: Refusing, lineage: Lineage) -> None:
    """The stage ends with a word, and the run that it cannot close is closed later, by whoever comes next."""
    shop.compose(f"tracking.uri={front.address}", "train=debug", "train.epochs=500", "train.seed=7")
    process = shop.start(
        "env", "--default-signal=INT", "dvc", "repro", "--single-item", "train", start_new_session=True
    )
    try:
        notes = shop.root / ".dvc" / "tmp" / "unfinished"
        deadline = time.monotonic() + 600
        while not any("run of mlflow" in json.loads(path.read_text()) for path in notes.glob("train-*.json")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.2)  # between two looks at the condition
        front.is_gone = True
        os.killpg(process.pid, signal.SIGINT)
        output = process.communicate(timeout=600)[0]
        assert f"{front.address} does not answer" in output
        assert "The run is closed by whatever stage runs next, or by `lineage jobs`." in output
        assert "is still open" in lineage(shop, "jobs", code=1)
    finally:
        front.is_gone = False
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    (run,) = [run for run in shop.store(front.address).runs("train") if run.info.status == "RUNNING"]
    assert f"run {run.info.run_id} of train, which was left open, is closed as KILLED" in lineage(shop, "jobs")
    assert shop.store(front.address).client.get_run(run.info.run_id).info.status == "KILLED"


def test_doctor_asks_the_server_whose_model_the_alias_names(shop: Project, front: Refusing, lineage: Lineage) -> None:
    store = shop.store(front.address)
    client, versions = store.client, store.versions()
    source, tags = versions[0].source, {"project_id": "another"}
    other = client.create_model_version("traceable-digits", source, tags=tags, model_id=source.removeprefix("models:/"))
    client.set_registered_model_alias("traceable-digits", "candidate", other.version)
    state, text = findings(shop, lineage)["candidate"]
    assert (state, f"is version {other.version}, not the model of this checkout" in text) == ("unknown", True)
    for version in versions:
        client.delete_model_version("traceable-digits", version.version)
    assert "MLflow has no version of" in findings(shop, lineage)["models"][1]
    for part in ("/registered-models/alias", "/model-versions/search"):
        front.order(part, times=FOR_GOOD)
        assert ("unknown", True) in [
            (state, "answers with 500" in text) for state, text in findings(shop, lineage).values()
        ]
    front.order("", times=0)
