"""Images that cannot be read: named, or with data.on_bad_record=skip left out and counted."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from photographs import photograph, photographs, put
from stages import Workshop

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *before: bytes) -> bytes:
    """A PNG that says it has this size; its pixels are zeros that compress to next to nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(min(height * (width + 1), 10**6)))
    return SIGNATURE + header + b"".join(before) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


WHOLE = photograph(60, 1)
BROKEN = {
    "truncated": WHOLE[: len(WHOLE) // 2],
    "no image": b"<html>not found</html>",
    "empty": b"",
    "bomb": png(60_000, 60_000),
    "bomb that Pillow only warns of": png(10_000, 10_000),
    "bomb of text": png(8, 8, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 * 2**20)))),
    "vector": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
    "damaged inside": png(8, 8)[:40] + b"\0\1\2\3" + png(8, 8)[44:],
}


@pytest.fixture(scope="module")
def photos(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, and among them one broken in each of these ways."""
    folder = put(tmp_path_factory.mktemp("photos"), photographs())
    put(folder, {f"cat/{name}.png": data for name, data in BROKEN.items()})
    configure(workshop, folder)
    workshop.run("listing")
    workshop.run("fetch")
    return folder


def configure(workshop: Workshop, folder: Path, *more: str) -> None:
    workshop.set("data=image_folder", f"data.source.path='{folder}'", *more)


@pytest.mark.usefixtures("photos")
def test_all_of_them_are_found_and_the_first_are_named(workshop: Workshop) -> None:
    sentence = workshop.refusal("preprocess")
    assert sentence.startswith(f"{len(BROKEN)} images cannot be read: ")
    assert sentence.count("'cat/") == 5
    assert f"and {len(BROKEN) - 5} more" in sentence
    assert "data.on_bad_record=skip" in sentence


def test_one_of_a_table_is_named_with_its_file(workshop: Workshop, tmp_path: Path) -> None:
    files = {path: data for path, data in photographs().items() if path.endswith(("0.JPG", "5.JPG"))}
    table = "record_id,subject_id,label,path\n" + "".join(
        f"SCAN-{number},SCAN-{number},{path[:3]},{path}\n" for number, path in enumerate(["cat/bad.png", *files])
    )
    folder = put(tmp_path / "photos", {**files, "cat/bad.png": BROKEN["truncated"], "table.csv": table.encode()})
    configure(workshop, folder, "data.source.table=table.csv")
    workshop.run("listing")
    workshop.run("fetch")
    assert workshop.refusal("preprocess").startswith("1 image cannot be read: 'SCAN-0', cat/bad.png (")


def test_skipped_they_are_counted_and_in_no_dataset(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos, "data.on_bad_record=skip")
    workshop.run("listing")
    workshop.run("fetch")
    said = workshop.run("preprocess")
    assert f"skipped: {len(BROKEN)} of {len(BROKEN) + len(photographs())} records" in said
    assert {row["record_id"] for row in workshop.manifest()} == photographs().keys()


def test_without_them_the_dataset_is_the_same(workshop: Workshop, photos: Path, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        folder = workshop.root / "data" / "processed"
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    skipped = files()
    configure(workshop, put(tmp_path / "clean", photographs()))
    workshop.run("listing")
    workshop.run("fetch")
    workshop.run("preprocess")
    assert files() == skipped
