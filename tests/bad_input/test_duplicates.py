"""The same image under two names, in two splits, with two labels; and what of an image does not fit into a dataset."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from photographs import photograph, photographs, put
from PIL import Image
from stages import Workshop


def configure(workshop: Workshop, folder: Path, *more: str) -> None:
    workshop.set("data=image_folder", f"data.source.path='{folder}'", *more)


@pytest.fixture(scope="module")
def photos(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, 24 copies of the cats beside them as PNG, and one of a dog among the cats."""
    folder = put(tmp_path_factory.mktemp("photos"), photographs())
    for path in sorted(folder.glob("cat/*.JPG")):
        Image.open(path).save(path.with_name(f"{path.stem} copy.png"))
    put(folder, {"cat/a dog.jpg": (folder / "dog" / "IMG 003.JPG").read_bytes()})
    configure(workshop, folder)
    workshop.run("listing")
    workshop.run("fetch")
    return folder


def across(workshop: Workshop) -> int:
    """How many images of the dataset version are in more than one split."""
    splits: dict[str, set[str]] = {}
    for row in workshop.manifest():
        splits.setdefault(row["content_sha256"], set()).add(row["split"])
    return sum(len(found) > 1 for found in splits.values())


def test_what_is_there_twice_is_counted_and_the_worst_named(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos)
    said = workshop.run("preprocess")
    leaks = across(workshop)
    assert leaks > 0
    assert (
        f"warning: 50 records share 25 images with another record; {leaks} in two splits; 1 under two labels: " in said
    )
    assert said.count(" = 'cat/") + said.count(" = 'dog/") == 3


def test_it_is_brought_into_one_split_and_nothing_else_moves(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos)
    workshop.run("preprocess")
    before = {row["record_id"]: row["split"] for row in workshop.manifest()}
    configure(workshop, photos, "data.duplicates=together")
    said = workshop.run("preprocess")
    assert "brought into one split: 50 records" in said
    assert "warning: 50 records share 25 images with another record; 1 under two labels: " in said
    assert across(workshop) == 0
    after = {row["record_id"]: row["split"] for row in workshop.manifest()}
    moved = {record for record in after if after[record] != before[record]}
    assert moved
    assert all(" copy" in record or f"{record[:-4]} copy.png" in after or "a dog" in record for record in moved)
    assert not {record for record in moved if before[record] == "train"}


def test_it_is_refused(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos, "data.duplicates=refuse")
    sentence = workshop.refusal("preprocess")
    assert sentence.startswith("50 records share 25 images with another record; ")
    assert "data.duplicates=together" in sentence


def test_what_only_looks_alike_is_reported_where_asked_for(workshop: Workshop, photos: Path) -> None:
    configure(workshop, photos)
    assert "near-duplicates" not in workshop.run("preprocess")
    before = workshop.manifest()
    configure(workshop, photos, "data.near_duplicates=4")
    said = workshop.run("preprocess")
    assert workshop.manifest() == before
    pairs = [pair for pair in combinations(stored(workshop), 2) if alike(*pair)]
    across = sum(one["split"] != other["split"] for one, other in pairs)
    assert len(pairs) > across > 0
    assert f"near-duplicates: {len(pairs)} pairs of images look alike, {across} of them in two splits: " in said


def stored(workshop: Workshop) -> list[dict[str, Any]]:
    """All rows of the dataset version, with the slopes of a small copy of each image."""
    shards = sorted((workshop.root / "data" / "processed" / "shards").iterdir())
    rows = [row for shard in shards for row in pq.read_table(shard).to_pylist()]
    for row in rows:
        small = Image.open(io.BytesIO(row["image"])).convert("L").resize((9, 8), Image.Resampling.BILINEAR)
        row["slopes"] = np.diff(np.asarray(small, dtype=int)) > 0
    return rows


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["image"] != other["image"] and int((one["slopes"] != other["slopes"]).sum()) <= 4


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def drawing(seed: int) -> Image.Image:
    """Black ink on nothing."""
    ink = np.zeros((64, 64, 4), dtype=np.uint8)
    ink[..., 3] = np.random.default_rng(seed).integers(0, 2, (64, 64)) * 255
    return Image.fromarray(ink)


def test_drawings_on_nothing_are_told_apart(workshop: Workshop, tmp_path: Path) -> None:
    files = {f"{'ab'[seed % 2]}/{seed}.png": saved(drawing(seed), format="PNG") for seed in range(40)}
    configure(workshop, put(tmp_path / "drawings", files))
    workshop.run("listing")
    workshop.run("fetch")
    assert "share" not in workshop.run("preprocess")
    assert len({row["content_sha256"] for row in workshop.manifest()}) == len(files)
    workshop.set("data=image_folder", f"data.source.path='{tmp_path / 'drawings'}'", "data.image.background=refuse")
    assert "(parts of it are transparent, see data.image.background)" in workshop.refusal("preprocess")


def test_an_image_of_several_pages_is_a_bad_record(workshop: Workshop, tmp_path: Path) -> None:
    folder = put(tmp_path / "photos", photographs())
    first, second = (Image.open(io.BytesIO(photograph(60, seed))) for seed in (500, 501))
    for name, kind in (("scan.tif", "TIFF"), ("film.gif", "GIF")):
        put(folder, {f"cat/{name}": saved(first, format=kind, save_all=True, append_images=[second])})
    configure(workshop, folder)
    workshop.run("listing")
    workshop.run("fetch")
    sentence = workshop.refusal("preprocess")
    assert sentence.startswith("2 images cannot be read: ")
    assert sentence.count("(it has 2 pages or frames, see data.image.further_pages)") == 2
    configure(workshop, folder, "data.image.further_pages=drop")
    workshop.run("preprocess")
    assert {row["record_id"] for row in workshop.manifest()} == {*photographs(), "cat/scan.tif", "cat/film.gif"}
