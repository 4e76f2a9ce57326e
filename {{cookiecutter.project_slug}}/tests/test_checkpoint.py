from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from project.model import checkpoint
from project.model.device import make_deterministic
from project.model.inference import Examples
from project.model.networks import build
from project.model.training import fit
from project.settings import Train
from safetensors import safe_open
from torch import nn

HEADER: dict[str, Any] = {
    "architecture": {"name": "small_cnn", "width": 4, "dropout": 0.1},
    "classes": ["benign", "malignant", "unclear ä"],
    "image_size": 8,
    "channels": 3,
}

# runs in a process of its own
TRAINING = """
import json, sys
from pathlib import Path
import conftest, test_checkpoint

test_checkpoint.train_and_save(Path(sys.argv[1]), json.loads(sys.argv[2]))
"""


def train_and_save(path: Path, values: dict[str, Any]) -> None:
    """Trains a small network on made-up images and saves it, as the stage `train` does."""
    settings = Train.model_validate(values)
    make_deterministic(settings.seed, settings.threads, settings.deterministic)
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 3, 8, 8), generator=random, dtype=torch.uint8)
    examples = Examples(images, torch.arange(60) % 3)
    network = build(HEADER["architecture"], HEADER["channels"], len(HEADER["classes"]))
    fit(network, examples, examples, settings, on_epoch=lambda _: None)
    checkpoint.save(path, network, HEADER)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    return build(HEADER["architecture"], HEADER["channels"], len(HEADER["classes"]))


def test_a_network_comes_back_as_it_was_saved(tmp_path: Path, network: nn.Module) -> None:
    images = torch.rand(5, 3, 8, 8)
    network(images)  # batch norm has seen something, so its statistics are not those of a new network
    checkpoint.save(tmp_path / "model.safetensors", network, HEADER)
    loaded, header = checkpoint.load(tmp_path / "model.safetensors")
    assert header == HEADER
    assert not loaded.training
    assert torch.equal(loaded(images), network.eval()(images))


def test_saving_does_not_change_the_network(tmp_path: Path, network: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    checkpoint.save(tmp_path / "model.safetensors", network, HEADER)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_header_is_one_key_of_json(tmp_path: Path, network: nn.Module) -> None:
    checkpoint.save(tmp_path / "model.safetensors", network, HEADER)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == [checkpoint.HEADER]
    assert json.loads(metadata[checkpoint.HEADER]) == HEADER


def test_the_order_of_the_header_does_not_change_the_file(tmp_path: Path, network: nn.Module) -> None:
    checkpoint.save(tmp_path / "one", network, HEADER)
    checkpoint.save(tmp_path / "other", network, dict(reversed(HEADER.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_two_processes_train_the_same_file(tmp_path: Path, root: Path, params: dict[str, Any]) -> None:
    quick = {"epochs": 2, "batch_size": 16, "seed": 1, "threads": 1, "deterministic": True, "device": "cpu"}
    values = params["train"] | quick
    train_and_save(tmp_path / "here", values)
    subprocess.run(
        [sys.executable, "-c", TRAINING, tmp_path / "there", json.dumps(values)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "7"},  # sets have another order there
        check=True,
    )
    train_and_save(tmp_path / "other", values | {"seed": 2})
    here, there, other = (sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("here", "there", "other"))
    assert here == there
    assert here != other


def test_layers_may_share_their_weights(tmp_path: Path) -> None:
    network = build(HEADER["architecture"], HEADER["channels"], len(HEADER["classes"]))
    first = next(network.parameters())
    network.register_parameter("shared", first)
    checkpoint.save(tmp_path / "model", network, HEADER)
    with safe_open(tmp_path / "model", framework="pt") as file:
        assert torch.equal(file.get_tensor("shared"), first)
