from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from lineage.records.images import decode, encode

SQUARES = st.tuples(st.sampled_from([1, 3]), st.integers(1, 12)).flatmap(
    lambda shape: arrays.arrays(np.uint8, (shape[0], shape[1], shape[1]))
)


def file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@given(SQUARES)
def test_pixels_survive_encoding_and_decoding(pixels: NDArray[np.uint8]) -> None:
    decoded = decode(encode(pixels), pixels.shape[1], pixels.shape[0])
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, pixels)


@given(SQUARES)
def test_a_view_encodes_to_the_same_bytes_as_a_copy(pixels: NDArray[np.uint8]) -> None:
    view = pixels[:, :, ::-1]
    assert encode(view) == encode(view.copy())


def test_the_bytes_do_not_depend_on_a_compressor() -> None:
    pixels = np.zeros((1, 64, 64), dtype=np.uint8)  # any compressor would make it small
    assert len(encode(pixels)) > pixels.size


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [1, 5, 40])
def test_an_image_of_another_size_is_resized(size: int, channels: int) -> None:
    data = file(Image.new("RGB", (20, 10), (200, 200, 200)))
    pixels = decode(data, size, channels)
    assert pixels.shape == (channels, size, size)
    assert (pixels == 200).all()


def test_rows_stay_rows_and_columns_stay_columns() -> None:
    image = Image.new("RGB", (4, 4))
    image.putpixel((3, 0), (10, 20, 30))  # at the right of the first row
    np.testing.assert_array_equal(decode(file(image), 4, 3)[:, 0, 3], [10, 20, 30])


def test_grey_becomes_colour_and_colour_becomes_grey() -> None:
    assert (decode(file(Image.new("L", (4, 4), 90)), 4, 3) == 90).all()
    assert (decode(file(Image.new("RGB", (4, 4), (90, 90, 90))), 4, 1) == 90).all()


def test_a_jpeg_is_read() -> None:
    pixels = decode(file(Image.new("L", (8, 8), 120), "JPEG"), 8, 1)
    assert abs(pixels.astype(int) - 120).max() <= 2


def test_a_photograph_that_says_it_is_turned_is_turned_back() -> None:
    image = Image.new("L", (8, 8), 0)
    image.paste(255, (0, 0, 8, 4))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    pixels = decode(file(image, exif=exif), 8, 1)[0]
    assert (pixels[:, 4:] == 255).all()
    assert (pixels[:, :4] == 0).all()


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises((UnidentifiedImageError, OSError)):
        decode(data, 8, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_half_an_image_is_refused(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (32, 32), dtype=np.uint8)
    data = file(Image.fromarray(noise), kind)
    with pytest.raises(OSError, match=r".+"):
        decode(data[: len(data) // 2], 32, 1)


def test_sixteen_bits_are_scaled_and_not_cut() -> None:
    grey = np.array([[0, 257], [25700, 65535]], dtype=np.uint16)
    decoded = decode(file(Image.fromarray(grey)), 2, 1)
    np.testing.assert_array_equal(decoded[0], [[0, 1], [100, 255]])


def test_a_picture_whose_white_is_zero_is_turned_round() -> None:
    grey = np.array([[0, 13107], [21845, 65535]], dtype=np.uint16)
    decoded = decode(file(Image.fromarray(grey), "TIFF", tiffinfo={262: 0}), 2, 1)
    np.testing.assert_array_equal(decoded[0], [[255, 204], [170, 0]])


@pytest.mark.parametrize(
    ("pixels", "tags", "why"),
    [(np.ones((2, 2), dtype=np.float32), {}, "no known scale"), (np.ones((2, 2), dtype=np.uint8), {339: 2}, "a sign")],
)
def test_a_scale_that_nobody_knows_is_refused(pixels: NDArray[np.generic], tags: dict[int, int], why: str) -> None:
    with pytest.raises(OSError, match=why):
        decode(file(Image.fromarray(pixels), "TIFF", tiffinfo=tags), 2, 1)


LIMITED = """
import resource, sys
from lineage.records.images import decode
data = sys.stdin.buffer.read()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20, resource.RLIM_INFINITY))
try:
    decode(data, 8, 3)
except MemoryError:
    print("memory")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where memory is limited by address space")
def test_too_little_memory_is_no_fault_of_the_image(root: Path) -> None:
    """`data.on_bad_record=skip` would otherwise leave good records out on a small machine."""
    data = file(Image.new("L", (9400, 9400)))
    command = [sys.executable, "-B", "-c", LIMITED]
    done = subprocess.run(command, input=data, cwd=root, capture_output=True, check=True)
    assert done.stdout == b"memory\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *before: bytes) -> bytes:
    """A PNG that says it has this size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(min(height * (width + 1), 10**6))))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + rows + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        png(60_000, 60_000),
        png(10_000, 10_000),  # of which Pillow by itself only warns
        png(8, 8, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 * 2**20)))),
        png(8, 8)[:40] + b"\0\1\2\3" + png(8, 8)[44:],
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",  # Pillow would start another program
    ],
    ids=["bomb", "smaller bomb", "bomb of text", "damaged inside", "vector"],
)
def test_bombs_and_what_is_damaged_inside_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(OSError, match=r"\w+") as refused:
        decode(data, 8, 1)
    assert "0x" not in str(refused.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_the_formats_that_are_known(kind: str) -> None:
    assert abs(decode(file(Image.new("L", (8, 8), 120), kind), 8, 1).astype(int) - 120).max() <= 2


INK = (10, 20, 30)


def drawing(mode: str) -> Image.Image:
    """Dark ink at the upper left, and nothing elsewhere."""
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((*INK, 255), (0, 0, 4, 4))
    return image.convert(mode)


def with_transparent_colour(mode: str, colour: int | tuple[int, ...]) -> bytes:
    """A PNG of one colour, which is the transparent one, but for its first pixel."""
    image = Image.new(mode, (4, 4), colour)
    image.putpixel((0, 0), 1 if isinstance(colour, int) else INK)
    return file(image, transparency=colour)


@pytest.mark.parametrize(
    "data",
    [
        file(drawing("RGBA")),
        file(drawing("LA")),
        file(drawing("RGBA").quantize(4)),
        file(drawing("RGBA"), "WEBP", lossless=True),
        file(drawing("RGBA"), "TIFF"),
        file(drawing("RGBA"), "GIF"),
        with_transparent_colour("L", 0),
        with_transparent_colour("RGB", (200, 100, 0)),
        with_transparent_colour("1", 0),
        with_transparent_colour("I;16", 257),
    ],
    ids=["RGBA", "LA", "palette", "WebP", "TIFF", "GIF", "grey colour", "RGB colour", "bit", "16 bits"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_shows_the_background(data: bytes, channels: int) -> None:
    shown = {name: decode(data, 8, channels, name) for name in ("white", "grey", "black")}
    assert [int(shown[name][0, -1, -1]) for name in shown] == [255, 128, 0]
    if channels == 3:
        assert len({pixels[:, 0, 0].tobytes() for pixels in shown.values()}) == 1  # ink is ink
    with pytest.raises(OSError, match=r"transparent, see data\.image\.background"):
        decode(data, 8, channels)


def test_half_transparent_is_mixed() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 51))
    assert (decode(file(image), 4, 1, "white") == 204).all()


def test_a_channel_that_hides_nothing_changes_nothing() -> None:
    image = Image.new("RGB", (4, 4), INK)
    np.testing.assert_array_equal(decode(file(image.convert("RGBA")), 4, 3), decode(file(image), 4, 3))


def test_a_turned_drawing_keeps_its_background() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = decode(file(drawing("RGBA"), exif=exif), 8, 3, "white")
    assert tuple(pixels[:, -1, -1]) == INK
    assert tuple(pixels[:, 0, 0]) == (255, 255, 255)


def test_one_transparent_colour_of_sixteen_bits_is_refused() -> None:
    row = b"\0" + struct.pack(">3H", 7, 7, 7) * 4
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    colour = chunk(b"tRNS", struct.pack(">3H", 7, 7, 7))
    data = b"\x89PNG\r\n\x1a\n" + header + colour + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    with pytest.raises(OSError, match="16 bits is transparent"):
        decode(data, 4, 3, "white")


def pages(kind: str, *shades: int, **options: object) -> bytes:
    first, *more = [Image.new("L", (8, 8), shade) for shade in shades]
    return file(first, kind, save_all=True, append_images=more, **options)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP", "MPO"])
def test_further_pages_are_refused_or_dropped_as_the_settings_say(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = pages(kind, 60, 120, 180, **options)
    with pytest.raises(OSError, match=r"it has 3 pages or frames, see data\.image\.further_pages"):
        decode(data, 8, 1)
    assert (decode(data, 8, 1, further_pages="drop") == 60).all()
    assert (decode(pages(kind, 60, **options), 8, 1) == 60).all()


def test_a_smaller_copy_of_the_same_picture_is_no_further_page() -> None:
    large, small = Image.new("L", (8, 8), 60), Image.new("L", (2, 2), 60)
    small.encoderinfo = {"tiffinfo": {254: 1}}
    buffer = io.BytesIO()
    large.save(buffer, "TIFF", save_all=True, append_images=[small])
    with Image.open(buffer) as image:
        assert isinstance(image, TiffImageFile)
        image.seek(1)
        assert image.tag_v2[254] == 1
    assert (decode(buffer.getvalue(), 8, 1) == 60).all()


def test_what_a_camera_keeps_for_its_display_is_no_further_page() -> None:
    data = pages("MPO", 60, 120)
    first = re.search(rb"\0\0\x03\0.{4}\0{8}", data, re.DOTALL)  # its entry: kind, size and place
    assert first is not None
    preview = data[: first.end()] + struct.pack("<L", 0x010002) + data[first.end() + 4 :]
    assert (decode(preview, 8, 1) == 60).all()
    with pytest.raises(OSError, match="2 pages"):
        decode(data, 8, 1)
