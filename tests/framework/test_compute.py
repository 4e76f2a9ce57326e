from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lineage.base.env import PIPELINE_COMPUTE
from lineage.base.errors import SettingsError
from lineage.chain.packages import IMAGE_PACKAGES
from lineage.compute.backend import backend_for
from lineage.compute.sagemaker.jobs import base_name
from lineage.compute.sagemaker.launch import without
from lineage.dvc.dvcfile import Pipeline, read_pipeline
from lineage.settings.compute import Compute


@pytest.fixture
def compute(params: dict[str, Any]) -> Compute:
    return Compute.model_validate({**params["compute"], "train": "sagemaker", "evaluate": "local"})


@pytest.fixture
def pipeline(copy: Path) -> Pipeline:
    return read_pipeline(copy)


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ("", {"train": "sagemaker", "evaluate": "local"}),
        ("local", {"train": "local", "evaluate": "local"}),
        ("sagemaker", {"train": "sagemaker", "evaluate": "sagemaker", "fetch": "local", "register": "local"}),
        ("evaluate=sagemaker", {"train": "sagemaker", "evaluate": "sagemaker"}),
        ("train=local, evaluate=sagemaker", {"train": "local", "evaluate": "sagemaker"}),
    ],
)
def test_the_place_of_a_stage(
    given: str, places: dict[str, str], compute: Compute, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PIPELINE_COMPUTE, given)
    found = {stage: backend_for(compute, pipeline, pipeline.stage(stage)) for stage in places}
    assert {stage: type(backend).__name__.lower() for stage, backend in found.items()} == places


@pytest.mark.parametrize(
    ("given", "said"),
    {
        "moon": "preprocess cannot run on 'moon'; there are local, sagemaker",
        "train=moon": "train cannot run on 'moon'",
        "fetch=sagemaker": "fetch runs here only, because it makes the raw",
        "trian=local": "dvc.yaml has no stage 'trian'",
        "=": "dvc.yaml has no stage ''",
    }.items(),
)
def test_a_place_that_is_none(
    given: str, said: str, compute: Compute, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PIPELINE_COMPUTE, given)
    with pytest.raises(SettingsError, match=said):
        backend_for(compute, pipeline, pipeline.stage("train"))


def test_the_torch_of_an_image_is_left_to_it() -> None:
    lock = (
        "numpy==2.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n"
        "nvidia-cublas==13 ; sys_platform == 'linux' \\\n    --hash=sha256:02\n"
        "torch==2.9 \\\n    --hash=sha256:03\ntorchmetrics==1.0 \\\n    --hash=sha256:04\n"
    )
    assert "".join(without(IMAGE_PACKAGES, lock)) == (
        "numpy==2.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\ntorchmetrics==1.0 \\\n    --hash=sha256:04\n"
    )


def test_all_of_the_lock_is_kept_but_torch(root: Path) -> None:
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    kept = [piece.partition("==")[0] for piece in without(IMAGE_PACKAGES, lock)]
    dropped = {line.partition("==")[0] for line in lock.splitlines() if line[:1].isalpha()} - set(kept)
    assert {"torch", "torchvision"} <= dropped
    assert {"numpy", "dvc", "mlflow", "safetensors"} <= set(kept)
    assert all(name.startswith(("torch", "triton", "nvidia-", "cuda-")) for name in dropped)


def test_two_jobs_of_one_second_have_two_names() -> None:
    assert base_name("a/prefix_of.mine", "train") != base_name("a/prefix_of.mine", "train")
    assert base_name("ä/ö", "train").startswith("job-train-")
