from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from project.model import networks
from project.model.networks import build
from project.model.trial import build_and_try
from torch import Tensor, nn

from lineage.base.errors import NetworkError


class Network(nn.Module):
    """A network that `made` turns into a wrong one."""

    def __init__(self, channels: int, classes: int, made: Callable[[Tensor, int], Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * 8 * 8, classes)
        self.classes, self.made = classes, made

    def forward(self, images: Tensor) -> Any:
        return self.made(self.linear(images.flatten(1)), self.classes)


def tried(made: Callable[[Tensor, int], Any], monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    monkeypatch.setitem(networks.NETWORKS, "own", Network)
    return build_and_try({"name": "own", "made": made}, channels=1, size=8, classes=3)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda logits, _: torch.cat([logits, logits], dim=1), r"makes \(2, 6\) of 2 images, and must make \(2, 3\)"),
        (lambda logits, _: logits[:, :2], r"makes \(2, 2\) of 2 images"),
        (lambda logits, _: logits.mean(dim=1), r"makes \(2,\) of 2 images"),
        (lambda logits, _: (logits, logits), "makes tuple of 2 images"),
        (lambda logits, _: logits.view(5), r"images of 1 x 8 x 8: RuntimeError: shape '\[5\]'"),
    ],
)
def test_a_network_that_does_not_fit(
    made: Callable[[Tensor, int], Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NetworkError, match=sentence):
        tried(made, monkeypatch)


def test_settings_that_a_network_does_not_take() -> None:
    with pytest.raises(NetworkError, match=r"cannot be made .*'depth' \(model/networks.py, line \d+\)"):
        build_and_try({"name": "small_cnn", "width": 4, "dropout": 0.1, "depth": 3}, channels=1, size=8, classes=3)


def test_a_network_that_is_not_in_the_list() -> None:
    with pytest.raises(NetworkError, match=r"model/networks.py has no network 'own', only small_cnn, "):
        build_and_try({"name": "own"}, channels=1, size=8, classes=3)


def test_the_trial_leaves_weights_statistics_and_random_numbers_as_they_are() -> None:
    architecture = {"name": "small_cnn", "width": 4, "dropout": 0.5}
    torch.manual_seed(1)
    untried, then = build(architecture, channels=1, classes=3).state_dict(), torch.rand(3)
    torch.manual_seed(1)
    tried = build_and_try(architecture, channels=1, size=8, classes=3).state_dict()
    assert torch.equal(torch.rand(3), then)
    assert tried.keys() == untried.keys()
    assert all(torch.equal(tried[name], untried[name]) for name in tried)
