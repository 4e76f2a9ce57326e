from __future__ import annotations

import copy
import os
from typing import Any

import pytest
import torch
from project.model.augment import augment, colour, crop, flip, shift
from project.model.device import choose_device, make_deterministic, number_of_threads
from project.model.history import Epoch
from project.model.inference import Examples, predict, score
from project.model.networks import build, normalise
from project.model.ranks import ALONE, Share
from project.model.training import fit
from project.settings import Train
from torch import Tensor, nn

from lineage.base.errors import SettingsError

ARCHITECTURE = {"name": "small_cnn", "width": 4, "dropout": 0.1}


@pytest.fixture
def settings(params: dict[str, Any]) -> Train:
    quick = {"epochs": 3, "batch_size": 16, "lr": 0.05, "max_shift": 0.13, "seed": 1, "threads": 1, "device": "cpu"}
    return Train.model_validate(params["train"] | quick | {"deterministic": True})


def changed(settings: Train, **values: Any) -> Train:
    return Train.model_validate(settings.model_dump() | values)


def examples(count: int, seed: int = 0) -> Examples:
    """Noise that is bright in its left half, class 0, or in its right half, class 1."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 1, 8, 8), generator=random, dtype=torch.uint8)
    images[labels == 0, :, :, :4] += 150
    images[labels == 1, :, :, 4:] += 150
    return Examples(images, labels)


def train(settings: Train, train: Examples, val: Examples) -> tuple[nn.Module, Epoch, list[Epoch], list[Any]]:
    """The network, its best epoch, all epochs and the weights after each."""
    make_deterministic(settings.seed, settings.threads, settings.deterministic)
    network = build(ARCHITECTURE, channels=1, classes=2)
    epochs: list[Epoch] = []
    weights: list[Any] = []

    def keep(epoch: Epoch) -> None:
        epochs.append(epoch)
        weights.append(copy.deepcopy(network.state_dict()))

    best = fit(network, train, val, settings, keep)
    return network, best, epochs, weights


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def whole(records: int) -> Share:
    """All records of a batch."""
    return ALONE.share(records)


def test_the_same_seed_gives_the_same_weights_bit_by_bit(settings: Train) -> None:
    first, _, history, _ = train(settings, examples(50), examples(20, seed=1))
    second, _, again, _ = train(settings, examples(50), examples(20, seed=1))
    assert equal(first.state_dict(), second.state_dict())
    assert history == again


def test_another_seed_gives_other_weights(settings: Train) -> None:
    first = train(settings, examples(50), examples(20))[0]
    second = train(changed(settings, seed=2), examples(50), examples(20))[0]
    assert not equal(first.state_dict(), second.state_dict())


def test_training_learns(settings: Train) -> None:
    network, best, epochs, _ = train(changed(settings, epochs=6, max_shift=0), examples(128), examples(64, seed=1))
    assert best.val_accuracy > 0.9
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert score(network, examples(64, seed=2), 16)[1] > 0.9


def test_the_weights_of_the_best_epoch_are_kept(settings: Train) -> None:
    # the labels of val are the wrong way round: what training learns makes it worse there, so the last is not the best
    val = examples(32, seed=1)
    wrong = Examples(val.images, 1 - val.labels)
    network, best, epochs, weights = train(changed(settings, epochs=6), examples(128), wrong)

    expected = max(epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert expected != epochs[-1]
    assert best == expected
    assert equal(network.state_dict(), weights[best.number - 1])
    assert not equal(network.state_dict(), weights[-1])
    assert score(network, wrong, 16) == (best.val_loss, best.val_accuracy)


def test_every_epoch_is_told_of_and_counted_from_1(settings: Train) -> None:
    epochs = train(settings, examples(32), examples(16))[2]
    assert [epoch.number for epoch in epochs] == [1, 2, 3]


def test_a_last_batch_of_one_record_is_no_obstacle(settings: Train) -> None:
    best = train(settings, examples(33), examples(16))[1]
    assert best.number in {1, 2, 3}


def test_an_image_is_moved_as_a_whole_and_what_comes_in_is_black() -> None:
    image = torch.zeros(1, 2, 8, 8, dtype=torch.uint8)
    image[0, 0, 3, 4], image[0, 1, 4, 4] = 200, 100  # one point in each channel, one below the other
    moved = shift(image.expand(200, -1, -1, -1), 0.25, torch.Generator().manual_seed(1), whole(200))
    places = set()
    for number in range(200):
        [(row, column)], [below] = moved[number, 0].nonzero().tolist(), moved[number, 1].nonzero().tolist()
        assert moved[number, 0].max() == 200
        assert below == [row + 1, column]
        places.add((row - 3, column - 4))
    assert places == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


@pytest.mark.parametrize("largest", [0.0, 0.1])
def test_a_move_of_less_than_a_pixel_leaves_images_alone(largest: float) -> None:
    images = examples(4).images
    assert torch.equal(shift(images, largest, torch.Generator(), whole(4)), images)


def test_half_of_the_images_are_mirrored() -> None:
    images = examples(200).images
    turned = flip(images, torch.Generator().manual_seed(1), whole(200))
    mirrored = (turned == images.flip(-1)).flatten(1).all(dim=1)
    same = (turned == images).flatten(1).all(dim=1)
    assert bool((mirrored ^ same).all())
    assert 60 < int(mirrored.sum()) < 140


def test_a_crop_shows_a_part_of_the_image_at_full_size() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(100, 1, 64, 64)  # darker on the left
    cropped = crop(ramp, 0.5, torch.Generator().manual_seed(1), whole(100))
    assert cropped.shape == ramp.shape
    widths = (cropped[:, 0, 0, -1] - cropped[:, 0, 0, 0]) / 63
    assert 0.45 < float(widths.min()) < 0.6
    assert 0.9 < float(widths.max()) <= 1
    torch.testing.assert_close(crop(ramp, 1.0, torch.Generator(), whole(100)), ramp.float(), atol=1e-3, rtol=0)


def test_colours_change_within_bounds() -> None:
    images = torch.randint(0, 256, (50, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    changed = colour(images, 0.3, torch.Generator().manual_seed(1), whole(50))
    assert changed.shape == images.shape
    assert 0 <= float(changed.min()) < float(changed.max()) <= 255
    assert 5 < float((changed - images).abs().mean()) < 80


def test_what_is_off_draws_no_random_number(settings: Train) -> None:
    random, images = torch.Generator().manual_seed(1), examples(8).images
    before = random.get_state()
    assert torch.equal(augment(images, changed(settings, max_shift=0), random, whole(8)), images)
    assert torch.equal(random.get_state(), before)


ALL = {"flip": True, "min_crop": 0.8, "max_colour": 0.2, "channels_last": True}


@pytest.mark.parametrize("values", [ALL, {**ALL, "precision": "bfloat16"}])
def test_the_same_bits_with_all_that_can_be_switched_on(settings: Train, values: dict[str, Any]) -> None:
    everything = changed(settings, **values)
    first = train(everything, examples(50), examples(20, seed=1))[0]
    second = train(everything, examples(50), examples(20, seed=1))[0]
    assert equal(first.state_dict(), second.state_dict())
    assert not equal(first.state_dict(), train(settings, examples(50), examples(20, seed=1))[0].state_dict())


def test_as_many_threads_as_then() -> None:
    assert number_of_threads(3, {"threads": 2}) == 3
    assert number_of_threads("auto", {"threads": 7}) == 7
    assert 1 <= number_of_threads("auto", {}) <= (os.cpu_count() or 1)


def test_pixels_become_minus_one_to_one() -> None:
    assert normalise(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_probabilities_add_up_to_one_whatever_the_size_of_the_batches() -> None:
    network, images = build(ARCHITECTURE, channels=1, classes=2), examples(10).images
    probabilities = predict(network, images, batch_size=3)
    assert probabilities.shape == (10, 2)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(10))
    torch.testing.assert_close(probabilities, predict(network, images, batch_size=10))


def test_a_score_is_the_mean_over_the_records() -> None:
    network, few = build(ARCHITECTURE, channels=1, classes=2), examples(10)
    probabilities = predict(network, few.images, 10)
    loss, accuracy = score(network, few, batch_size=4)
    assert loss == pytest.approx(-probabilities[torch.arange(10), few.labels].log().mean().item(), rel=1e-5)
    assert accuracy == pytest.approx((probabilities.argmax(dim=1) == few.labels).sum().item() / 10)


def test_auto_finds_a_device() -> None:
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}
    assert choose_device("cpu") == torch.device("cpu")


def test_a_device_that_is_not_there_is_refused() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(SettingsError, match=f"'{absent}' is set, but this machine has only: .*cpu"):
        choose_device(absent)
