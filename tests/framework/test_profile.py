"""The profile of a dataset version: counted in whole numbers, in whatever order, and about nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from lineage.records import profile as profiles
from lineage.records.images import encode
from lineage.records.preparation import RawImages
from lineage.records.profile import EDGES, MOST_VALUES, TOTALS, Measurer, Profile, Sums, add, profile_from
from lineage.settings.data import Image

Picture = tuple[str, tuple[int, int], NDArray[np.uint8]]
HOW = {"size": 12, "channels": 3, "background": "white", "further_pages": "refuse"}


def pictures(count: int = 60, channels: int = 3) -> list[Picture]:
    random = np.random.default_rng(4)
    return [
        (
            ("train", "val", "test")[number % 3],
            (int(random.integers(5, 900)), int(random.integers(5, 900))),
            random.integers(0, 40 + 3 * number, (12, 12, channels), dtype=np.uint8),
        )
        for number in range(count)
    ]


def measured(some: list[Picture]) -> Sums:
    measurer = Measurer()
    for each in some:
        measurer.add(*each)
    return measurer.sums


def rows(count: int = 60, **columns: list[str]) -> pa.Table:
    return pa.table(
        {
            "split": [("train", "val", "test")[number % 3] for number in range(count)],
            "subject_id": [f"PAT-{number % 7:05d}" for number in range(count)],
            "label": [("cat", "dog")[number % 2] for number in range(count)],
            **columns,
        }
    )


@pytest.mark.parametrize("at_once", [1, 1000, 10**9])
def test_order_and_parts_change_nothing(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured(pictures())
    monkeypatch.setattr(profiles, "PIXELS_AT_ONCE", at_once)
    mixed = [pictures()[place] for place in np.random.default_rng(1).permutation(60)]
    parts: Sums = {}
    for part in (mixed[:1], mixed[1:30], mixed[30:]):
        add(parts, json.loads(json.dumps(measured(part))))
    assert parts == whole
    texts = {profile_from(rows(), sums, HOW, []).to_json() for sums in (whole, parts)}
    assert len(texts) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_is_in_the_bins_of_what_it_is_like(channels: int) -> None:
    some = pictures(40, channels)
    sums = measured(some)
    expected: dict[str, list[float]] = {name: [] for name in EDGES}
    for _, (width, height), planes in some:
        # ITU-R 601, as Pillow computes it
        weights = np.array([19595, 38470, 7471])
        grey = planes[..., 0] if channels == 1 else ((planes.astype(int) @ weights + 0x8000) >> 16)
        steps = [np.abs(np.diff(grey.astype(int), axis=axis)).ravel() for axis in (0, 1)]
        like = (width, height, width / height, grey.mean(), grey.std(), np.concatenate(steps).mean())
        for name, value in zip(EDGES, like, strict=True):
            expected[name].append(float(value))
    for name, those in expected.items():
        counts = np.bincount(np.searchsorted(EDGES[name], those, side="right"), minlength=len(EDGES[name]) + 1)
        found = np.sum([each[name] for each in sums.values()], axis=0)
        assert found.tolist() == counts.tolist(), name
    tones = np.bincount(np.concatenate([planes[..., -1].ravel() for *_, planes in some]) // 8, minlength=32)
    last = "grey" if channels == 1 else "blue"
    assert np.sum([each[last] for each in sums.values()], axis=0).tolist() == tones.tolist()
    assert sum(each[TOTALS][0] for each in sums.values()) == 40


def test_an_image_of_one_pixel_and_one_colour_is_measured() -> None:
    sums = measured([("train", (1, 1), np.full((1, 1, 1), 255, np.uint8))])
    counts = sums["train"]
    assert [counts[name].index(1) for name in ("brightness", "contrast", "sharpness", "width")] == [31, 0, 0, 0]


def test_the_file_says_how_many_and_of_what_kind_and_names_nobody() -> None:
    many = [f"value {number}" for number in range(60)]
    table = rows(scanner=["A", "B", "C", "A"] * 15, everybody=many)
    found = profile_from(table, measured(pictures()), HOW, ["scanner", "everybody"])
    text = found.to_json()
    assert Profile.from_json(text) == found
    assert "PAT-" not in text
    assert len(text) < 12_000
    train = found.splits["train"]
    assert (train["records"], train["subjects"]) == (20, 7)
    assert train["classes"] == {"cat": 10, "dog": 10}
    assert sum(train["columns"]["scanner"].values()) == 20
    assert len(many) > MOST_VALUES
    assert train["columns"]["everybody"] == {}  # too many values, and not forgotten
    assert all(sum(train["histograms"][name]) == 20 for name in EDGES)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 7}', '{"schema": 1, "more": 2}'])
def test_what_is_no_profile(text: str) -> None:
    with pytest.raises(ValueError):
        Profile.from_json(text)


def test_raw_images_are_measured_as_they_came_and_pixels_as_they_are_stored(tmp_path: Path) -> None:
    image = encode(np.full((3, 20, 40), 100, np.uint8))
    table: Any = pa.table({"record_id": ["r"], "image": pa.array([image], pa.binary())})
    pq.write_table(table, tmp_path / "records.parquet")
    from lineage.records.dataset import Row

    images = RawImages(tmp_path / "records.parquet", Image.model_validate({**HOW, "channels": 1}))
    _, sums = images.stored([Row("s", "r", "val", "cat")], pa.Table.from_batches(images.batches()))
    counts = sums["val"]
    assert EDGES["width"][counts["width"].index(1)] > 40 >= EDGES["width"][counts["width"].index(1) - 1]
    assert EDGES["aspect"][counts["aspect"].index(1) - 1] == 2.0
    assert counts["grey"][100 // 8] == 12 * 12
