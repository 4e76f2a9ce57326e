"""Several processes train together: the same batches, the gradient of a whole batch, and the same bits each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from project.model.augment import augment
from project.model.ranks import ALONE, share_of
from project.settings import Train
from pydantic import ValidationError

# run by its own process: ranks are started anew and know the package by its true name only
SCRIPT = """
import json, sys
from importlib import import_module

root, package, document, target = sys.argv[1:]
sys.path.insert(0, root)
import torch
from torch import nn

from lineage.base.hosts import Hosts
from lineage.run.ranks import work_in_ranks

inference, ranks, training = (import_module(f"{package}.model.{name}") for name in ("inference", "ranks", "training"))
Train = import_module(f"{package}.settings").Train


class Small(nn.Module):  # no batch norm, no dropout: what differs is the order of sums
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 2)

    def forward(self, images):
        return self.layer(images.flatten(1))


def examples(count, seed):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 8, 8), generator=random, dtype=torch.uint8)
    return inference.Examples(images, (images.float().mean(dim=(1, 2, 3)) > 127).long())


def weights(settings, several=ranks.ALONE):
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    network, epochs = Small(), []
    # 55 records in batches of 16: the last one has 7; with 4 processes that is too few to share
    training.fit(network, examples(55, 1), examples(21, 2), settings, epochs.append, several)
    told = [[epoch.train_loss, epoch.val_loss, epoch.val_accuracy] for epoch in epochs]
    return [network.layer.weight.detach().tolist(), told]


def as_rank(rank, settings):
    several = ranks.Several(rank, torch.device("cpu"))
    found = weights(settings, several)
    several.leave()
    return found


if __name__ == "__main__":
    settings = Train.model_validate_json(document)
    found = {1: [weights(settings)]}
    for processes, times in ((2, 2), (4, 1)):
        made = {"processes": processes, "hosts": Hosts(), "hear": print}
        found[processes] = [work_in_ranks(as_rank, settings, **made) for _ in range(times)]
    with open(target, "w") as file:
        json.dump(found, file)
"""


def test_one_process_and_several_learn_the_same(
    root: Path, package: str, params: dict[str, Any], tmp_path: Path
) -> None:
    quick = {"epochs": 3, "batch_size": 16, "lr": 0.05, "seed": 1, "threads": 1, "device": "cpu", "flip": True}
    settings = Train.model_validate(params["train"] | quick)
    script, target = tmp_path / "script.py", tmp_path / "found.json"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(root), package, settings.model_dump_json(), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())
    assert found["2"][0] == found["2"][1]  # bit by bit
    [one], several = found["1"], [found["2"][0], *found["4"]]
    for weights, epochs in several:
        assert weights != one[0]
        torch.testing.assert_close(torch.tensor(weights), torch.tensor(one[0]), atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(torch.tensor(epochs), torch.tensor(one[1]), atol=1e-4, rtol=1e-3)
        assert [epoch[-1] for epoch in epochs] == pytest.approx([epoch[-1] for epoch in one[1]])


@given(st.integers(1, 300), st.integers(1, 16))
def test_a_batch_is_shared_out_whole(records: int, of: int) -> None:
    shares = [share_of(records, number, of) for number in range(of)]
    assert sum(share.counts for share in shares) == pytest.approx(records)
    worked = [list(range(records))[share.own] for share in shares]
    assert min(map(len, worked)) >= min(2, records)
    mean = sum(share.weight / of * sum(own) / len(own) for share, own in zip(shares, worked, strict=True))
    assert mean == pytest.approx((records - 1) / 2)  # of the records' numbers, as of gradients


def test_an_image_is_changed_alike_whoever_works_on_it(params: dict[str, Any]) -> None:
    everything = {"max_shift": 0.2, "flip": True, "min_crop": 0.8, "max_colour": 0.2}
    settings = Train.model_validate(params["train"] | everything)
    images = torch.randint(0, 256, (9, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    whole = augment(images, settings, torch.Generator().manual_seed(2), ALONE.share(9))
    shares = [share_of(9, number, 3) for number in range(3)]
    parts = [augment(images[share.own], settings, torch.Generator().manual_seed(2), share) for share in shares]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_every_process_needs_two_images_of_a_batch(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="batch_size must be at least 2 for each of 20 processes"):
        Train.model_validate(params["train"] | {"batch_size": 32, "processes": 20})
