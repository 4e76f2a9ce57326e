"""A split of a dataset version as tensors."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from lineage.records.dataset import read_split
from lineage.records.images import decode
from lineage.records.layout import Description

from .inference import Examples

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


def load_examples(
    dataset: Path, description: Description, split: str, device: torch.device, *, memory: int, scratch: Path
) -> Examples:
    """All records of `split`, decoded once, in the order of the manifest.

    They are kept on `device`; images of more than `memory` bytes in a file in the folder `scratch`, of which the system
    holds in memory what there is room for. The file has no name, and is gone with this process however that ends.
    """
    shape = _shape(description, split)
    is_large = math.prod(shape) > memory
    pixels = _in_a_file(shape, scratch) if is_large else np.empty(shape, dtype=np.uint8)
    return _on(device, pixels, _decode(pixels, dataset, description, split), is_large=is_large)


@dataclass(frozen=True)
class Splits:
    """The splits of a dataset version, for `load_examples`."""

    dataset: Path
    description: Description
    memory: int
    scratch: Path

    def load(self, split: str, device: torch.device) -> Examples:
        """All records of a split."""
        return load_examples(self.dataset, self.description, split, device, memory=self.memory, scratch=self.scratch)


class SharedSplits:
    """The same for processes that train together: decoded once, in files that all of them map.

    It is pickled with the files open, which works while a process is started, and nowhere else.
    """

    def __init__(self, splits: Splits) -> None:
        self._memory = splits.memory
        self._files: dict[str, tuple[int, tuple[int, ...], Labels]] = {}
        for split in ("train", "val"):
            shape = _shape(splits.description, split)
            with _file(shape, splits.scratch) as file:
                labels = _decode(_mapped(file, shape), splits.dataset, splits.description, split)
                self._files[split] = (os.dup(file.fileno()), shape, labels)

    def __getstate__(self) -> dict[str, Any]:
        from multiprocessing.reduction import DupFd  # not on Windows

        files = {split: (DupFd(fd), shape, labels) for split, (fd, shape, labels) in self._files.items()}
        return {"_memory": self._memory, "_files": files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._memory = state["_memory"]
        self._files = {split: (fd.detach(), *rest) for split, (fd, *rest) in state["_files"].items()}

    def load(self, split: str, device: torch.device) -> Examples:
        """All records of a split, for one of the processes."""
        fd, shape, labels = self._files[split]
        with os.fdopen(os.dup(fd), "r+b") as file:
            pixels = _mapped(file, shape)
        return _on(device, pixels, labels, is_large=math.prod(shape) > self._memory)


def _on(device: torch.device, pixels: Pixels, labels: Labels, *, is_large: bool) -> Examples:
    images = torch.from_numpy(pixels)
    return Examples(images=images if is_large else images.to(device), labels=torch.from_numpy(labels).to(device))


def _shape(description: Description, split: str) -> tuple[int, ...]:
    size = description.image_size
    return description.records[split], description.channels, size, size


def _decode(pixels: Pixels, dataset: Path, description: Description, split: str) -> Labels:
    """Writes the images of a split to `pixels`, and returns the numbers of their classes."""
    count, channels, size, _ = pixels.shape
    labels = np.empty(count, dtype=np.int64)
    classes = {name: number for number, name in enumerate(description.classes)}
    for number, (image, label) in zip(range(count), read_split(dataset, split), strict=True):
        pixels[number], labels[number] = decode(image, size, channels), classes[label]
    return labels


def _in_a_file(shape: tuple[int, ...], scratch: Path) -> Pixels:
    with _file(shape, scratch) as file:
        return _mapped(file, shape)


@contextmanager
def _file(shape: tuple[int, ...], scratch: Path) -> Iterator[BinaryIO]:
    """A file without a name, as large as pixels of this shape."""
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as file:
        if hasattr(os, "posix_fallocate"):  # a disk that is full ends a process that writes to a mapped file, unsaid
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        else:
            file.truncate(math.prod(shape))
        yield file


def _mapped(file: BinaryIO, shape: tuple[int, ...]) -> Pixels:
    mapping = mmap.mmap(file.fileno(), math.prod(shape))
    return np.frombuffer(mapping, dtype=np.uint8).reshape(shape)
