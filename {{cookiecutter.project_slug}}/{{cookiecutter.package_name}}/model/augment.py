"""What training does to images before it sees them: whole batches at a time, on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..settings import Train
from .ranks import Share


def augment(images: Tensor, settings: Train, random: torch.Generator, share: Share) -> Tensor:
    """Changes uint8 images (records, channels, size, size) at random. What is off in the settings draws no number.

    `random` is on the CPU, so that the same numbers come on every device. The images are a `share` of a batch, and
    numbers are drawn for all of it: an image gets the same, however many processes there are. Values stay within 0 to
    255.
    """
    images = shift(images, settings.max_shift, random, share)
    if settings.flip:
        images = flip(images, random, share)
    if settings.min_crop < 1:
        images = crop(images, settings.min_crop, random, share)
    if settings.max_colour > 0:
        images = colour(images, settings.max_colour, random, share)
    return images


def shift(images: Tensor, largest: float, random: torch.Generator, share: Share) -> Tensor:
    """Moves each image by up to `largest` of its size in either direction; what comes in at the edge is black."""
    pixels = int(largest * images.shape[-1])
    if pixels == 0:
        return images
    padded = functional.pad(images, (pixels,) * 4)
    moves = torch.randint(0, 2 * pixels + 1, (2, share.of, 1), generator=random)[:, share.own].to(images.device)
    within = torch.arange(images.shape[-1], device=images.device)
    rows, columns = moves + within  # each (records, size): which pixels of the padded image to take
    which = torch.arange(len(images), device=images.device)
    return padded[which[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def flip(images: Tensor, random: torch.Generator, share: Share) -> Tensor:
    """Turns half of the images, left to right."""
    turned = torch.rand(share.of, generator=random)[share.own] < 0.5
    return torch.where(turned.to(images.device)[:, None, None, None], images.flip(-1), images)


def crop(images: Tensor, smallest: float, random: torch.Generator, share: Share) -> Tensor:
    """Takes a square of each image, its side `smallest` of the image's to all of it, and scales that to full size."""
    draws = torch.rand((3, share.of), generator=random)[:, share.own].to(images.device)
    side = smallest + (1 - smallest) * draws[0]
    centres = (2 * draws[1:] - 1) * (1 - side)  # in units in which an image goes from -1 to 1
    zero = torch.zeros_like(side)
    affine = torch.stack([torch.stack([side, zero, centres[0]], 1), torch.stack([zero, side, centres[1]], 1)], 1)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def colour(images: Tensor, largest: float, random: torch.Generator, share: Share) -> Tensor:
    """Changes brightness, contrast and, where there is colour, saturation of each image by up to `largest`."""
    factors = 1 + largest * (2 * torch.rand((3, share.of, 1, 1, 1), generator=random)[:, share.own] - 1)
    brightness, contrast, saturation = factors.to(images.device)
    images = images.float()
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean * brightness + (images - mean) * contrast
    if images.shape[1] > 1:
        grey = images.mean(dim=1, keepdim=True)
        images = grey + (images - grey) * saturation
    return images.clamp(0, 255)
