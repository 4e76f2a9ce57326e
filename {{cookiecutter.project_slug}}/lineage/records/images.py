"""Image bytes to pixels and back. preprocess, train and the registered model see an image through the same function."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.MpoImagePlugin import MpoImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE as BITS
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION as PHOTOMETRIC
from PIL.TiffImagePlugin import SAMPLEFORMAT as SAMPLE_FORMAT
from PIL.TiffImagePlugin import TiffImageFile

MODES = {1: "L", 3: "RGB"}
SUBFILE, MP_ENTRIES = 254, 0xB002  # a tag of TIFF, and the list of the images in one JPEG (CIPA DC-007)
# the others that Pillow knows are rare, and some start other programs
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
WHITE_IS_ZERO, SIGNED, REDUCED = 0, 2, 1  # values of tags, TIFF 6.0, sections 3, 19 and 8
BACKGROUNDS = {"white": 255, "grey": 128, "black": 0}
REFUSE = "refuse"


def decode(
    data: bytes, size: int, channels: int, background: str = REFUSE, further_pages: str = REFUSE
) -> NDArray[np.uint8]:
    """Pixels of a PNG, a JPEG or another of FORMATS, shape (channels, size, size), 0 to 255; resized if need be.

    16 bits a pixel become 8 by scaling. What is transparent shows `background`, one of BACKGROUNDS; of pages and frames
    the first is taken where `further_pages` is "drop". With "refuse", either is an error.

    Raises OSError if `data` is no whole image, one so large that it can only be meant to use up the memory, or one
    whose scale nobody can know (32 bits a pixel, or numbers with a sign); and MemoryError.
    """
    return planes_of(open_upright(data, channels, background, further_pages), size).transpose(2, 0, 1).copy()


def open_upright(data: bytes, channels: int, background: str = REFUSE, further_pages: str = REFUSE) -> Image.Image:
    """The whole image upright and opaque, in its own size, with one channel or three. Raises what `decode` raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if further_pages == REFUSE and (pages := _pages(image)) > 1:
                    raise OSError(f"it has {pages} pages or frames, see data.image.further_pages")
                return _opaque(_to_eight_bits(image), background).convert(MODES[channels])
    except UnidentifiedImageError:
        raise UnidentifiedImageError("no image, or none of a known format") from None  # Pillow's text holds an address
    except (OSError, MemoryError):  # a machine too small is no fault of the image
        raise
    except Exception as error:  # Pillow's readers raise all kinds for broken files and for bombs
        raise OSError(str(error) or type(error).__name__) from error


def planes_of(upright: Image.Image, size: int) -> NDArray[np.uint8]:
    """Its pixels, brought to a square: shape (size, size, channels)."""
    if upright.size != (size, size):
        upright = upright.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(upright, dtype=np.uint8).reshape(size, size, -1)


def _pages(image: Image.Image) -> int:
    """How many pages or frames an image has, without those that are a smaller copy of another."""
    pages: int = getattr(image, "n_frames", 1)
    if pages == 1:
        return 1
    if isinstance(image, TiffImageFile):
        pages = 0
        for number in range(image.n_frames):
            image.seek(number)
            pages += not image.tag_v2.get(SUBFILE, 0) & REDUCED
        image.seek(0)
    elif isinstance(image, MpoImageFile):
        kinds = [entry["Attribute"]["MPType"] for entry in (image.mpinfo or {}).get(MP_ENTRIES, ())]
        pages -= sum("Thumbnail" in kind for kind in kinds)  # what cameras show on their displays
    return pages


def _opaque(image: Image.Image, background: str) -> Image.Image:
    """The image on a background, where something of it is transparent."""
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == (255, 255):
        return layer
    if background == REFUSE:
        raise OSError("parts of it are transparent, see data.image.background")
    shade = BACKGROUNDS[background]
    return Image.alpha_composite(Image.new("RGBA", layer.size, (shade, shade, shade, 255)), layer)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """The image upright, 8 bits a pixel, from black to white."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        raise OSError("its numbers have a sign, so that nobody can know its scale; store it without")
    if "transparency" in image.info and any(tile[3] == "RGB;16B" for tile in getattr(image, "tile", ())):
        raise OSError("one colour of 16 bits is transparent, and reading it as 8 bits would confuse it with others")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in {"I", "F"}:
        raise OSError(f"an image of mode {upright.mode} has no known scale; store it with 8 or 16 bits a pixel")
    if not upright.mode.startswith("I;16"):
        return upright
    # Pillow would cut every value above 255 down to 255, and turns WhiteIsZero round in images of 8 bits only
    top = 2 ** tags.get(BITS, (16,))[0] - 1
    values = np.asarray(upright, dtype=np.float64)
    values = top - values if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else values
    grey = Image.fromarray((values * 255 / top).round().astype(np.uint8))
    if "transparency" in upright.info:
        seen = np.asarray(upright) != upright.info["transparency"]
        grey = Image.merge("LA", (grey, Image.fromarray(seen.astype(np.uint8) * np.uint8(255))))
    return grey


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of `pixels`, shape (channels, height, width). See `encode_planes`."""
    return encode_planes(pixels.transpose(1, 2, 0))


def encode_planes(planes: NDArray[np.uint8]) -> bytes:
    """A PNG of `planes`, shape (height, width, channels).

    Not compressed: what a compressor makes of the same pixels differs between platforms, and hashes must not.
    """
    image = Image.fromarray(planes[:, :, 0] if planes.shape[2] == 1 else planes)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()
