"""Image bytes to pixels and back. preprocess, train and the registered model see an image through the same function."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE as BITS
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION as PHOTOMETRIC
from PIL.TiffImagePlugin import SAMPLEFORMAT as SAMPLE_FORMAT
from PIL.TiffImagePlugin import TiffImageFile

MODES = {1: "L", 3: "RGB"}
# the others that Pillow knows are rare, and some start other programs
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
WHITE_IS_ZERO, SIGNED = 0, 2  # values of tags, TIFF 6.0, sections 3 and 19


def decode(data: bytes, size: int, channels: int) -> NDArray[np.uint8]:
    """Pixels of a PNG, a JPEG or another of FORMATS, shape (channels, size, size), 0 to 255; resized if need be.

    16 bits a pixel become 8 by scaling. Raises OSError if `data` is no whole image, one so large that it can only be
    meant to use up the memory, or one whose scale nobody can know (32 bits a pixel, or numbers with a sign); and
    MemoryError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                upright = _to_eight_bits(image).convert(MODES[channels])
    except UnidentifiedImageError:
        raise UnidentifiedImageError("no image, or none of a known format") from None  # Pillow's text holds an address
    except (OSError, MemoryError):  # a machine too small is no fault of the image
        raise
    except Exception as error:  # Pillow's readers raise all kinds for broken files and for bombs
        raise OSError(str(error) or type(error).__name__) from error
    if upright.size != (size, size):
        upright = upright.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(upright, dtype=np.uint8).reshape(size, size, channels)
    return pixels.transpose(2, 0, 1).copy()


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """The image upright, 8 bits a pixel, from black to white."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        raise OSError("its numbers have a sign, so that nobody can know its scale; store it without")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in {"I", "F"}:
        raise OSError(f"an image of mode {upright.mode} has no known scale; store it with 8 or 16 bits a pixel")
    if not upright.mode.startswith("I;16"):
        return upright
    # Pillow would cut every value above 255 down to 255, and turns WhiteIsZero round in images of 8 bits only
    top = 2 ** tags.get(BITS, (16,))[0] - 1
    values = np.asarray(upright, dtype=np.float64)
    values = top - values if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else values
    return Image.fromarray((values * 255 / top).round().astype(np.uint8))


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of `pixels`, shape (channels, height, width).

    Not compressed: what a compressor makes of the same pixels differs between platforms, and hashes must not.
    """
    planes = pixels.transpose(1, 2, 0)
    image = Image.fromarray(planes[:, :, 0] if planes.shape[2] == 1 else planes)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()
