"""What the images of a dataset version look like, in numbers: so that other data can be compared with them.

Everything is counted in whole numbers of single images, which add up to the same in whatever order, by however many
processes, and on every platform. The counts hold no id, and nothing of a single image is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from .layout import Description

SCHEMA = 1
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}
TONES = 32  # bins for the 256 values of a pixel
MOST_VALUES = 50  # of a further column, by which records are counted: one with more is no group of people, and empty
PIXELS_AT_ONCE = 4 * 2**20  # values of pixels that are measured together
_LENGTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
_ASPECTS = (0.25, 0.33, 0.4, 0.5, 0.6, 0.67, 0.75, 0.9, 1.1, 1.33, 1.5, 1.67, 2.0, 2.5, 3.0, 4.0)
_SHARPNESS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

# where one bin ends and the next begins; the first and the last are open
EDGES: dict[str, tuple[float, ...]] = {
    "width": _LENGTHS,  # pixels of the raw image, upright
    "height": _LENGTHS,
    "aspect": _ASPECTS,  # width / height
    "brightness": tuple(range(8, 256, 8)),  # mean of the grey values, 0 to 255
    "contrast": tuple(range(4, 128, 4)),  # their standard deviation
    "sharpness": _SHARPNESS,  # mean difference between neighbours: sum-modulus-difference (Jarvis 1976)
}
TONE_EDGES = tuple(range(256 // TONES, 256, 256 // TONES))
FINE = {"aspect": 100, "sharpness": 100}  # what is counted in hundredths
MEASURED = ("brightness", "contrast", "sharpness")  # of which the mean is kept as well
TOTALS = "totals"  # how many images, and the sums of what MEASURED says

Sums = dict[str, dict[str, list[int]]]  # by split: counts in the bins of each histogram, and TOTALS


def add(sums: Sums, more: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
    """Adds `more` to `sums`."""
    for split, counts in more.items():
        mine = sums.setdefault(split, {})
        for name, values in counts.items():
            mine[name] = (
                [one + other for one, other in zip(mine[name], values, strict=True)] if name in mine else [*values]
            )


class Measurer:
    """Takes images one by one, and counts some MB of them at a time."""

    def __init__(self) -> None:
        self._sums: Sums = {}
        self._waiting: dict[str, list[tuple[tuple[int, int], NDArray[np.uint8]]]] = {}
        self._size = 0

    def add(self, split: str, size: tuple[int, int], planes: NDArray[np.uint8]) -> None:
        """An image of a split: width and height of the raw one, and its pixels as stored, (height, width, channels)."""
        self._waiting.setdefault(split, []).append((size, planes))
        self._size += planes.size
        if self._size >= PIXELS_AT_ONCE:
            self._count()

    @property
    def sums(self) -> Sums:
        """Of all images so far."""
        self._count()
        return self._sums

    def _count(self) -> None:
        for split, images in self._waiting.items():
            add(self._sums, {split: _counted([size for size, _ in images], np.stack([each for _, each in images]))})
        self._waiting, self._size = {}, 0


def _counted(sizes: Sequence[tuple[int, int]], planes: NDArray[np.uint8]) -> dict[str, list[int]]:
    """The counts of some images, whose pixels have the shape (images, height, width, channels)."""
    count, height, width, channels = planes.shape
    tall = planes.reshape(count * height, width, channels)  # one below the other: a call for all of them
    picture = Image.fromarray(tall[:, :, 0] if channels == 1 else tall)
    tones = np.array(picture.histogram(), np.int64).reshape(channels, TONES, -1).sum(axis=2)
    grey = np.asarray(picture.convert("L")).reshape(count, height, width)
    found: dict[str, Iterable[int]] = {
        "width": [size[0] for size in sizes],
        "height": [size[1] for size in sizes],
        "aspect": [FINE["aspect"] * size[0] // size[1] for size in sizes],
        **dict(zip(MEASURED, _of_grey(grey), strict=True)),
    }
    counts = {name: _in_bins(name, values) for name, values in found.items()}
    counts |= {name: each.tolist() for name, each in zip(CHANNELS[channels], tones, strict=True)}
    return {**counts, TOTALS: [count, *(sum(found[name]) for name in MEASURED)]}


def _of_grey(grey: NDArray[np.uint8]) -> tuple[list[int], list[int], list[int]]:
    """Brightness, contrast, and hundredths of sharpness of images of shape (images, height, width), rounded down."""
    count, height, width = grey.shape
    pixels = height * width
    flat = grey.reshape(count, pixels)
    totals = flat.sum(axis=1, dtype=np.int64).tolist()
    values = flat.astype(np.float64)  # whole numbers below 2**53: exact
    squares = [int(each) for each in np.einsum("ij,ij->i", values, values)]
    signed = grey.astype(np.int16)
    down, across = (np.abs(np.diff(signed, axis=axis)).sum(axis=(1, 2), dtype=np.int64) for axis in (1, 2))
    pairs = max(1, (height - 1) * width + height * (width - 1))
    brightness = [total // pixels for total in totals]
    contrast = [
        math.isqrt(pixels * square - total * total) // pixels for total, square in zip(totals, squares, strict=True)
    ]
    return brightness, contrast, [FINE["sharpness"] * int(each) // pairs for each in down + across]


def _in_bins(name: str, values: Iterable[int]) -> list[int]:
    edges = [round(FINE.get(name, 1) * edge) for edge in EDGES[name]]
    places = np.searchsorted(edges, np.array(list(values), np.int64), side="right")
    counts: list[int] = np.bincount(places, minlength=len(edges) + 1).tolist()
    return counts


@dataclass(frozen=True)
class Profile:
    """The profile of a dataset version, or of other images measured in the same way."""

    schema: int
    image: dict[str, Any]  # how images were brought to pixels: two that differ cannot be compared
    edges: dict[str, list[float]]  # by histogram
    splits: dict[str, dict[str, Any]]  # records, subjects, classes, columns, histograms, means

    def to_json(self) -> str:
        """The text of profile.json: the same for the same records."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, data: bytes | str) -> Profile:
        """Raises ValueError if it is none, or of a form that this framework does not know."""
        document = json.loads(data)
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"it is no profile in the form {SCHEMA}")
        try:
            return cls(**document)
        except TypeError as error:
            raise ValueError(f"it is no profile: {error}") from None

    @property
    def means(self) -> dict[str, float]:
        """What the images of each split are like on average, for the report: `train_brightness` and so on."""
        return {
            f"{split}_{name}": value for split, each in self.splits.items() for name, value in each["means"].items()
        }


def profile_of(rows: pa.Table, sums: Sums, description: Description, columns: Sequence[str]) -> Profile:
    """The profile of a dataset version. `rows` has the columns of Row, and those of `columns`."""
    image = {
        "size": description.image_size,
        "channels": description.channels,
        "background": description.background,
        "further_pages": description.further_pages,
    }
    return profile_from(rows, sums, image, columns)


def profile_from(rows: pa.Table, sums: Sums, image: dict[str, Any], columns: Sequence[str]) -> Profile:
    """The same of any records. `rows` has split, subject_id, label and `columns`; those that are no text are null."""
    edges = {name: list(values) for name, values in EDGES.items()}
    edges |= {name: list(TONE_EDGES) for name in CHANNELS[image["channels"]]}
    counted = [name for name in columns if pc.count_distinct(rows[name]).as_py() <= MOST_VALUES]
    splits = {}
    for split in sorted(pc.unique(rows["split"]).to_pylist()):
        table, mine = rows.filter(pc.equal(rows["split"], split)), sums.get(split, {})
        count, *totals = mine.get(TOTALS, [0] * (1 + len(MEASURED)))
        splits[split] = {
            "records": table.num_rows,
            "subjects": pc.count_distinct(table["subject_id"]).as_py(),
            "classes": _shares(table["label"]),
            "columns": {name: _shares(table[name]) if name in counted else {} for name in columns},
            "histograms": {name: mine[name] for name in edges if name in mine},
            "means": {
                name: round(total / FINE.get(name, 1) / count, 2)
                for name, total in zip(MEASURED, totals, strict=True)
                if count
            },
        }
    return Profile(SCHEMA, image, edges, splits)


def write_profile(path: Path, profile: Profile) -> None:
    """Writes profile.json, with the same bytes on every platform."""
    path.write_text(profile.to_json(), encoding="utf-8", newline="\n")


def read_profile(path: Path) -> Profile:
    """Raises ValueError if the file is no profile."""
    return Profile.from_json(path.read_bytes())


def _shares(values: pa.ChunkedArray) -> dict[str, int]:
    counted = values.drop_null().value_counts()
    names, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return dict(sorted(zip(names, counts, strict=True)))
