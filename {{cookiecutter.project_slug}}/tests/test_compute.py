from __future__ import annotations

from pathlib import Path

import pytest
from project.compute.jobs import base_name
from project.compute.launch import without_torch
from project.compute.place import place_of
from project.env import PIPELINE_COMPUTE
from project.errors import SettingsError
from project.settings import load_settings
from project.settings.compute import Compute


@pytest.fixture
def compute(root: Path) -> Compute:
    return load_settings(root / "params.yaml").compute.model_copy(update={"train": "sagemaker", "evaluate": "local"})


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
    given: str, places: dict[str, str], compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PIPELINE_COMPUTE, given)
    assert {stage: place_of(compute, stage) for stage in places} == places


@pytest.mark.parametrize("given", ["moon", "train=moon", "fetch=sagemaker", "trian=local", "="])
def test_a_place_that_is_none(given: str, compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIPELINE_COMPUTE, given)
    with pytest.raises(SettingsError, match=r"is not possible|there is no such place"):
        place_of(compute, "train")


def test_the_torch_of_an_image_is_left_to_it() -> None:
    lock = (
        "numpy==2.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n"
        "nvidia-cublas==13 ; sys_platform == 'linux' \\\n    --hash=sha256:02\n"
        "torch==2.9 \\\n    --hash=sha256:03\ntorchmetrics==1.0 \\\n    --hash=sha256:04\n"
    )
    assert "".join(without_torch(lock)) == (
        "numpy==2.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\ntorchmetrics==1.0 \\\n    --hash=sha256:04\n"
    )


def test_all_of_the_lock_is_kept_but_torch(root: Path) -> None:
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    kept = [piece.partition("==")[0] for piece in without_torch(lock)]
    dropped = {line.partition("==")[0] for line in lock.splitlines() if line[:1].isalpha()} - set(kept)
    assert {"torch", "torchvision"} <= dropped
    assert {"numpy", "dvc", "mlflow", "safetensors"} <= set(kept)
    assert all(name.startswith(("torch", "triton", "nvidia-", "cuda-")) for name in dropped)


def test_two_jobs_of_one_second_have_two_names() -> None:
    assert base_name("a/prefix_of.mine", "train") != base_name("a/prefix_of.mine", "train")
    assert base_name("ä/ö", "train").startswith("job-train-")
