"""The registered model: raw PNG or JPEG bytes in, class probabilities out. MLflow loads it through `_load_pyfunc`.

`lineage serve` and endpoints ask it through `Predictor.answer`: docs/serving.md.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lineage.records.images import FORMATS, decode, encode

from .model.header import read_header

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "model.safetensors"
COLUMN = "image"
BATCH = 256
MOST_PIXELS = 25_000_000  # of an image in a request: opened, it takes 100 MB, whatever its file has
ALL_PIXELS = 100_000_000  # of all images in a request: to read them takes seconds, however small the files are
JSON = "application/json"
IMAGES = ("image/", "application/octet-stream", "application/x-image")  # what a request of one raw image is called
FORMS = "instances, dataframe_split or dataframe_records"
ALWAYS_NEEDED = ("mlflow", "numpy", "pandas", "pillow", "safetensors", "torch")
PACKAGES = {"mobilenet_v3_small": ("torchvision",)}  # what a network needs beside torch
Refuse = Callable[[int, str], NoReturn]  # see Answering in lineage/contract.py
GoOn = Callable[[], None]


class Predictor:
    """Predicts from a table with the column `image`: the bytes of a PNG or JPEG file in each row."""

    def __init__(self, network: nn.Module, header: dict[str, Any]) -> None:
        self._network = network
        self._header = header

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row an image, one column a class; each row adds up to 1."""
        pixels = self._decode([_as_bytes(image) for image in model_input[COLUMN]])
        return pd.DataFrame(self._probabilities(pixels), columns=self._header["classes"], index=model_input.index)

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        """The answer to a request, and its media type: probabilities by class for each image, as JSON.

        A request is one image, or JSON with base64 text of several. `kind` is its media type, `most` the largest number
        of images; `refuse` is called, and raises, for what the caller must change; `go_on` is called between images,
        and raises when nobody waits any more.
        """
        images = _images_in(body, kind, refuse)
        if len(images) > most:
            refuse(413, f"{len(images)} images are in this request; at most {most} are answered at once")
        _require_readable(images, refuse)
        rows = self._probabilities(self._decode(images, refuse, go_on)).tolist()
        said = [dict(zip(self._header["classes"], row, strict=True)) for row in rows]
        return json.dumps({"predictions": said}, allow_nan=False).encode(), JSON

    def _decode(
        self, images: Sequence[bytes], refuse: Refuse | None = None, go_on: GoOn = lambda: None
    ) -> NDArray[np.uint8]:
        """Pixels of shape (images, channels, size, size). With `refuse`, that is told which image cannot be read."""
        size, channels = self._header["image_size"], self._header["channels"]
        background, further_pages = self._header["background"], self._header["further_pages"]
        pixels = np.empty((len(images), channels, size, size), dtype=np.uint8)
        for number, image in enumerate(images):
            go_on()
            try:
                pixels[number] = decode(image, size, channels, background, further_pages)
            except OSError as error:
                if refuse is None:
                    raise
                refuse(400, f"image {number + 1} cannot be read: {error}")
        return pixels

    def _probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Shape (images, classes)."""
        import torch

        from .model.inference import predict

        return predict(self._network, torch.from_numpy(pixels), BATCH).double().numpy()


def example_input(weights: Path) -> pd.DataFrame:
    """Two synthetic images, a gradient and its mirror image: an example must never be somebody's record."""
    header = read_header(weights)
    size, channels = header["image_size"], header["channels"]
    gradient = np.broadcast_to(np.linspace(0, 255, size, dtype=np.uint8), (channels, size, size))
    return pd.DataFrame({COLUMN: [encode(gradient), encode(gradient[:, :, ::-1])]})


def signature(weights: Path) -> dict[str, list[dict[str, Any]]]:
    """Binary column in, one double column a class out, as MLflow writes them in MLmodel."""
    return {
        "inputs": [{"name": COLUMN, "type": "binary", "required": True}],
        "outputs": [{"name": name, "type": "double", "required": True} for name in read_header(weights)["classes"]],
    }


def packages(weights: Path) -> tuple[str, ...]:
    """What must be installed, beside Python itself, where the model is loaded."""
    return (*ALWAYS_NEEDED, *PACKAGES.get(read_header(weights)["architecture"]["name"], ()))


def _load_pyfunc(path: str) -> Predictor:
    """MLflow calls this with the folder that holds the weights."""
    from .model import checkpoint

    return Predictor(*checkpoint.load(Path(path) / WEIGHTS))


def _as_bytes(image: bytes | str) -> bytes:
    # JSON has no bytes: a server hands on base64 text where the caller sent it
    return base64.b64decode(image) if isinstance(image, str) else bytes(image)


def _images_in(body: bytes, kind: str, refuse: Refuse) -> list[bytes]:
    if kind.startswith(IMAGES):
        return [body]
    if kind != JSON:
        refuse(415, f"a request is an image (image/png, image/jpeg, application/x-image) or {JSON}")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        refuse(400, "the body is no JSON")
    return [_from_base64(text, number + 1, refuse) for number, text in enumerate(_texts_in(document, refuse))]


def _texts_in(document: Any, refuse: Refuse) -> list[Any]:
    """The images of a request as MLflow's clients write it; those of `instances` may be text alone."""
    match document:
        case {"instances": [*rows]} if len(document) == 1:
            return [row.get(COLUMN) if isinstance(row, dict) else row for row in rows]
        case {"dataframe_records": [*rows]} if len(document) == 1:
            return [row.get(COLUMN) if isinstance(row, dict) else None for row in rows]
        case {"dataframe_split": {"columns": [*columns], "data": [*rows]}} if len(document) == 1 and COLUMN in columns:
            place = columns.index(COLUMN)
            return [row[place] if isinstance(row, list) and len(row) > place else None for row in rows]
    return refuse(400, f"the JSON must be an object with {FORMS}, and images under the name {COLUMN}: docs/serving.md")


def _from_base64(text: Any, number: int, refuse: Refuse) -> bytes:
    if not isinstance(text, str):
        refuse(400, f"image {number} is no base64 text")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return refuse(400, f"image {number} is no base64 text")


def _require_readable(images: Sequence[bytes], refuse: Refuse) -> None:
    """Refuses what takes too long to read, before any of it is read."""
    pixels = [_pixels_of(image) for image in images]
    if (number := next((number for number, many in enumerate(pixels, 1) if many > MOST_PIXELS), None)) is not None:
        refuse(413, f"image {number} has more than {MOST_PIXELS} pixels")
    if sum(pixels) > ALL_PIXELS:
        refuse(413, f"the images of a request may have {ALL_PIXELS} pixels together")


def _pixels_of(image: bytes) -> int:
    """By what the file says of itself; 0 where it is no image, which `decode` says better."""
    try:
        with Image.open(io.BytesIO(image), formats=FORMATS) as opened:
            return int(opened.width * opened.height)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return MOST_PIXELS + 1
    except Exception:  # Pillow's readers raise all kinds for broken files
        return 0
