from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from project.model import checkpoint
from project.model.device import make_deterministic
from project.model.inference import Examples
from project.model.networks import build, normalise
from project.model.pretrained import start_from
from project.model.training import fit
from project.settings import Train
from torch import Tensor, nn

from lineage.base.errors import DataError

SCRATCH = {"name": "mobilenet_v3_small", "dropout": 0.2, "pretrained": False}
PRETRAINED = SCRATCH | {"pretrained": True}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision publishes it, for a thousand classes; its values are random."""
    from torchvision.models import mobilenet_v3_small

    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(mobilenet_v3_small().state_dict(), path)
    return path


def examples(count: int, seed: int) -> Examples:
    """Noise of 32 x 32 pixels that is brighter in one of its quarters: four classes."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    images = torch.randint(0, 150, (count, 1, 32, 32), generator=random, dtype=torch.uint8)
    for number, label in enumerate(labels.tolist()):
        row, column = divmod(label, 2)
        images[number, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] += 100
    return Examples(images, labels)


def train(params: dict[str, Any], network: nn.Module, **values: Any) -> float:
    """The best accuracy on other examples than it was trained with."""
    quick = {"epochs": 5, "batch_size": 8, "lr": 0.005, "max_shift": 0.0, "threads": 1, "device": "cpu"}
    settings = Train.model_validate(params["train"] | quick | values)
    make_deterministic(settings.seed, settings.threads, settings.deterministic)
    return fit(network, examples(128, 1), examples(64, 2), settings, on_epoch=lambda _: None).val_accuracy


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 33, 64])
def test_any_number_of_channels_and_classes_and_32_pixels_or_more(channels: int, size: int) -> None:
    network = build(SCRATCH, channels, classes=7).eval()
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_it_learns_from_random_weights_in_a_few_epochs(params: dict[str, Any]) -> None:
    torch.manual_seed(1)
    assert train(params, build(SCRATCH, 1, 4)) > 0.6  # with torchvision's own momentum 0.25, as by chance


def test_the_same_seed_gives_the_same_file(params: dict[str, Any], tmp_path: Path) -> None:
    header = {"architecture": SCRATCH, "classes": list("abcd"), "image_size": 32, "channels": 1}
    for name in ("one", "other"):
        torch.manual_seed(1)
        network = build(SCRATCH, 1, 4)
        train(params, network, epochs=1)
        checkpoint.save(tmp_path / name, network, header)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_pretrained_weights_are_taken_but_for_the_last_layer(weights: Path) -> None:
    network = build(PRETRAINED, 3, 5)
    before, published = state(network), torch.load(weights, weights_only=True)
    assert len(start_from(network, weights)) == 64
    after = state(network)
    last = {"network.classifier.3.weight", "network.classifier.3.bias"}
    assert {name.removeprefix("network.") for name in after} == published.keys()
    for name, tensor in after.items():
        expected = before[name] if name in last else published[name.removeprefix("network.")]
        assert torch.equal(tensor, expected), name


def test_pretrained_it_keeps_the_momentum_and_the_normalisation_that_the_weights_had() -> None:
    from torchvision.models import MobileNet_V3_Small_Weights

    transforms = MobileNet_V3_Small_Weights.IMAGENET1K_V1.transforms()
    network = build(PRETRAINED, 3, 5)
    assert network.mean.flatten().tolist() == pytest.approx(transforms.mean)
    assert network.std.flatten().tolist() == pytest.approx(transforms.std)
    momenta = [
        {module.momentum for module in one.modules() if isinstance(module, nn.BatchNorm2d)}
        for one in (network, build(SCRATCH, 3, 5))
    ]
    assert momenta == [{0.01}, {0.1}]


def test_a_saved_network_needs_no_pretrained_file(tmp_path: Path, weights: Path) -> None:
    network = build(PRETRAINED, 1, 3)
    start_from(network, weights)
    header = {"architecture": PRETRAINED, "classes": list("abc"), "image_size": 32, "channels": 1}
    checkpoint.save(tmp_path / "model", network, header)
    images = normalise(torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8))
    assert torch.equal(checkpoint.load(tmp_path / "model")[0](images), network.eval()(images))


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        start_from(build(PRETRAINED, 3, 5), path)
    said = str(caught.value)
    assert said.startswith(f"{path} is no state_dict of this network, saved with torch.save: ")
    assert "weights.url" in said
    assert "\n" not in said
    assert "PyTorch" not in said  # torch's words, which advise to run the file's code
    assert "weights_only" not in said
    return said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (nn.Linear(2, 2).state_dict(), "mobilenet_v3_small has nothing that is called 'bias'"),
        ({0: torch.zeros(2)}, "mobilenet_v3_small has nothing that is called 0"),
        ({}, "is missing"),
        ([1, 2], "a list"),
        (nn.Linear(2, 2), "torch cannot load it"),  # a whole network: code
    ],
)
def test_a_file_of_other_objects_is_refused_in_a_sentence(tmp_path: Path, content: object, reason: str) -> None:
    torch.save(content, tmp_path / "pretrained.pth")
    assert reason in refusal(tmp_path / "pretrained.pth")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        torch.zeros(16).to_sparse(),
        torch.zeros(17),
        torch.zeros(16, dtype=torch.int64),
        torch.zeros(16, dtype=torch.complex64),
        torch.zeros(16, device="meta"),
    ],
    ids=["nothing", "text", "sparse", "longer", "whole numbers", "complex", "meta"],
)
def test_one_value_of_another_kind_is_refused_in_a_sentence(tmp_path: Path, weights: Path, value: object) -> None:
    path = tmp_path / "pretrained.pth"
    torch.save(torch.load(weights, weights_only=True) | {"features.0.1.bias": value}, path)
    assert "'features.0.1.bias' is not the dense tensor of shape 16" in refusal(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\n<!doctype html><html>not found</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n", "Git LFS"),
        (b"\x10" + bytes(7) + b'{"a":{}}        ', "safetensors"),
        (b"GIF89a", "torch cannot load it"),
        (b"", "torch cannot load it"),
        (b"PK\x03\x04 no archive", "torch cannot load it"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_a_sentence(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "pretrained.pth").write_bytes(data)
    assert reason in refusal(tmp_path / "pretrained.pth")
