"""Several processes train together: the same batches, the gradient of a whole batch, and the same bits each time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from project.model.augment import augment
from project.model.ranks import ALONE, share_of
from project.settings import Train
from pydantic import ValidationError


def test_one_process_and_several_learn_the_same(several: dict[str, Any]) -> None:
    [one] = several["1"]["learned"]
    for processes in ("2", "4"):
        first, second = several[processes]["learned"]
        assert first == second  # bit by bit
        weights, epochs = first
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
