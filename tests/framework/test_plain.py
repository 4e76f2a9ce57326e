"""What MLflow answers, as plain data: a process that has not imported MLflow reads it."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunTag,
)
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelAlias
from mlflow.store.entities import PagedList

from lineage.tracking.client import plain


class WithoutMlflow(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        assert module.partition(".")[0] in ("lineage", "types"), module
        return super().find_class(module, name)


def read(value: Any) -> Any:
    """What another process has of a value."""
    return WithoutMlflow(io.BytesIO(pickle.dumps(plain(value)))).load()


def test_a_run_keeps_all_that_it_says() -> None:
    dataset = DatasetInput(Dataset("data", "d1", "dvc", "{}"), [InputTag("mlflow.data.context", "training")])
    run = Run(
        RunInfo("r1", "1", "someone", "FINISHED", 1, 2, "active", run_name="train"),
        RunData([Metric("loss", 0.25, 3, 1)], [Param("lr", "0.02")], [RunTag("stage", "train")]),
        RunInputs([dataset]),
    )
    found = read(run)
    for name, value in run.info:
        assert getattr(found.info, name) == value
    assert (found.data.metrics, found.data.params, found.data.tags) == (
        {"loss": 0.25},
        {"lr": "0.02"},
        {"stage": "train"},
    )
    (entry,) = found.inputs.dataset_inputs
    assert dict(dataset.dataset) == vars(entry.dataset)
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]


def test_versions_and_models_keep_tags_aliases_and_scores() -> None:
    version = ModelVersion("m", "3", 1, source="models:/m-1", tags=[ModelVersionTag("a", "b")], aliases=["candidate"])
    found = read(version)
    assert (found.name, found.version, found.source, found.tags, found.aliases) == (
        "m", "3", "models:/m-1", {"a": "b"}, ["candidate"],
    )  # fmt: skip
    assert read(RegisteredModel("m", aliases=[RegisteredModelAlias("candidate", "3")])).aliases == {"candidate": "3"}
    logged = LoggedModel(
        "1", "m-1", "m", "file:///m", 1, 2, status=LoggedModelStatus.READY, metrics=[Metric("f1", 1.0, 2, 0)]
    )
    found = read(logged)
    assert (found.status, found.artifact_location) == ("READY", "file:///m")
    assert [(metric.key, metric.value) for metric in found.metrics] == [("f1", 1.0)]


def test_a_page_keeps_its_token() -> None:
    page = read(PagedList([Param("a", "1")], "next"))
    assert ([param.key for param in page], page.token) == (["a"], "next")
    assert read(PagedList([], None)).token is None


@pytest.mark.parametrize("value", [None, 1, 0.5, float("inf"), "text", b"bytes", True])
def test_what_is_plain_stays_as_it_is(value: object) -> None:
    assert plain(value) is value
