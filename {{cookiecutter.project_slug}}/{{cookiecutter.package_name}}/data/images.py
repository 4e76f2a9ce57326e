"""Image bytes to pixels and back. preprocess, train and the registered model see an image through the same function."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MODES = {1: "L", 3: "RGB"}
# the others that Pillow knows are rare, and some start other programs
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")


def decode(data: bytes, size: int, channels: int) -> NDArray[np.uint8]:
    """Pixels of a PNG, a JPEG or another of FORMATS, shape (channels, size, size), 0 to 255; resized if need be.

    16 bits a pixel become 8 by scaling. Raises OSError if `data` is no whole image, one so large that it can only be
    meant to use up the memory, or one whose scale nobody can know (32 bits a pixel).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                upright = _to_eight_bits(ImageOps.exif_transpose(image)).convert(MODES[channels])
    except UnidentifiedImageError:
        raise UnidentifiedImageError("no image, or none of a known format") from None  # Pillow's text holds an address
    except OSError:
        raise
    except Exception as error:  # Pillow's readers raise all kinds for broken files and for bombs
        raise OSError(str(error) or type(error).__name__) from error
    if upright.size != (size, size):
        upright = upright.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(upright, dtype=np.uint8).reshape(size, size, channels)
    return pixels.transpose(2, 0, 1).copy()


def _to_eight_bits(image: Image.Image) -> Image.Image:
    # Pillow would cut every value above 255 down to 255
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, dtype=np.float64) / 257).round().astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise OSError(f"an image of mode {image.mode} has no known scale; store it with 8 or 16 bits a pixel")
    return image


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of `pixels`, shape (channels, height, width).

    Not compressed: what a compressor makes of the same pixels differs between platforms, and hashes must not.
    """
    planes = pixels.transpose(1, 2, 0)
    image = Image.fromarray(planes[:, :, 0] if planes.shape[2] == 1 else planes)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()
