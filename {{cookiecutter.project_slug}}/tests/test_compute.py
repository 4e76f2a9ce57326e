from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from project.compute.jobs import base_name
from project.compute.launch import without_torch
from project.compute.place import place_of
from project.compute.snapshot import is_secret, pack
from project.env import PIPELINE_COMPUTE
from project.errors import DispatchError, SettingsError
from project.pipeline.dvcfile import read_pipeline
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


@pytest.mark.parametrize(
    "name", [".env", "a/.env.local", ".dvc/config.local", "keys/server.pem", "credentials", "id_rsa", "id_ed25519.pub"]
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["environment.py", "conf/train/default.yaml", "id_columns.py", ".dvc/config", "keys.py"]
)
def test_what_is_no_secret(name: str) -> None:
    assert not is_secret(name)


def test_the_snapshot_is_the_code_as_it_is_on_disk(copy: Path, package: str, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=copy, check=True)

    git("init", "--quiet")
    (copy / "requirements.lock").write_text("numpy==2.0\n")
    git("add", "--all")
    (copy / package / "model" / "untracked.py").write_text("X = 1\n")
    (copy / package / "serving.py").write_text("# edited\n")
    (copy / "data" / "raw").mkdir(parents=True)
    (copy / "data" / "raw" / "scan.bin").write_bytes(b"records")
    (copy / ".env").write_text("TOKEN=x\n")
    (copy / "notes.txt").write_text("untracked, and no stage reads it\n")
    git("add", "--force", ".env", "data")
    pipeline = read_pipeline(copy)
    pack(copy, pipeline, tmp_path / "project.tar.gz")
    with tarfile.open(tmp_path / "project.tar.gz") as archive:
        names = archive.getnames()
        served = archive.extractfile(f"{package}/serving.py")
        assert served is not None
        assert served.read() == b"# edited\n"
    assert {f"{package}/model/untracked.py", "dvc.yaml", "params.yaml", "conf/config.yaml"} <= set(names)
    assert not {".env", "notes.txt", "data/raw/scan.bin"} & set(names)


def test_a_secret_among_the_code_is_refused(copy: Path, package: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    (copy / package / "model" / "server.pem").write_text("secret\n")
    pipeline = read_pipeline(copy)
    with pytest.raises(DispatchError, match=r"server\.pem looks like a secret"):
        pack(copy, pipeline, tmp_path / "project.tar.gz")


def test_two_jobs_of_one_second_have_two_names() -> None:
    assert base_name("a/prefix_of.mine", "train") != base_name("a/prefix_of.mine", "train")
    assert base_name("ä/ö", "train").startswith("job-train-")
