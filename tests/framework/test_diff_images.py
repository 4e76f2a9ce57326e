"""Images of the records that differ: found in their shards, checked, and small enough for one page."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lineage.base.errors import LineageError
from lineage.dvc.objects import Objects
from lineage.judgement.diff.difference import Difference
from lineage.judgement.diff.images import Wanted, differing, export, images_of, read_images, thumbnail
from lineage.judgement.diff.manifests import compare
from lineage.judgement.diff.page import LIMIT, write_page
from lineage.judgement.diff.section import section
from lineage.judgement.predictions import Common, Predictions
from lineage.records.dataset import MANIFEST_SCHEMA, SHARD_SCHEMA

NO_CODE: dict[str, Any] = {
    "commits": {f"{what}_{key}": [] for what in ("only", "more") for key in "ab"} | {"more_a": 0, "more_b": 0},
    "framework": {"version": None, "files": 0},
    "uncommitted": {"files": [], "outdated": [], "trained_with": {}},
}


class Kept(Objects):
    """Dataset versions in a folder, each shard under its name. Counts what is read whole."""

    def __init__(self, folder: Path) -> None:
        super().__init__(SimpleNamespace(cache_path=lambda md5: folder / md5))  # type: ignore[arg-type]
        self.folder = folder
        self.whole: list[str] = []

    def listing(self, md5: str) -> dict[str, str]:  # type: ignore[override]  # there it is kept
        return {f"shards/{path.name}": f"{md5}/{path.name}" for path in (self.folder / md5).glob("*.parquet")}

    def verified(self, md5: str, scratch: Path) -> Path:
        self.whole.append(md5)
        return self.folder / md5


def png(number: int, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (size, size), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def row(number: int, image: bytes | None = None, label: str = "0") -> dict[str, Any]:
    image = image or png(number)
    values = (f"r{number}", f"s{number:03d}", "test", label, hashlib.sha256(image).hexdigest(), image)
    return dict(zip(SHARD_SCHEMA.names, values, strict=True))


def write(folder: Path, *shards: list[dict[str, Any]]) -> pa.Table:
    """A dataset version; returns its manifest."""
    folder.mkdir(parents=True)
    for number, rows in enumerate(shards):
        table = pa.Table.from_pylist(rows, SHARD_SCHEMA)
        pq.write_table(table, folder / f"{number}.parquet", compression="none")
    return pa.Table.from_pylist([each for rows in shards for each in rows], SHARD_SCHEMA).select(MANIFEST_SCHEMA.names)


def test_only_shards_that_may_have_the_subject_are_read(tmp_path: Path) -> None:
    write(tmp_path / "x", [row(1), row(2)], [row(3), row(4)], [row(5)])
    objects = Kept(tmp_path)
    assert dict(images_of(objects, "x", {"r3": "s003"})) == {"r3": png(3)}
    assert objects.whole == ["x/1.parquet"]
    assert dict(images_of(objects, "x", {"r9": "s009"})) == {}
    both = dict(images_of(objects, "x", {"r5": "s005", "r1": "s001"}))
    assert both == {"r1": png(1), "r5": png(5)}


def test_an_image_with_another_hash_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path / "x", [{**row(1), "image": png(2)}])
    with pytest.raises(LineageError, match="the image of r1 in dataset x has another hash"):
        list(images_of(Kept(tmp_path), "x", {"r1": "s001"}))


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    write(tmp_path / "x", [row(1)])
    lacking: list[str] = []
    wanted = [Wanted(f"r{number}", f"s{number:03d}", "x", "p", "added") for number in (1, 2)]
    assert [each.record_id for each, _ in read_images(Kept(tmp_path), wanted, lacking)] == ["r1"]
    assert lacking == ["1 images of dataset x: it has no such records in its shards."]


@pytest.mark.parametrize(("size", "kind", "edge"), [(8, "png", 8), (300, "jpeg", 64)])
def test_a_thumbnail_is_small(size: int, kind: str, edge: int) -> None:
    address = thumbnail(png(1, size))
    assert address.startswith(f"data:image/{kind};base64,")
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as opened:
        assert opened.size == (edge, edge)
    assert len(address) < 7000


def difference(objects: Objects, before: pa.Table, after: pa.Table, **sections: Any) -> Difference:
    """The answer about two dataset versions, x and y."""

    def side(name: str) -> Any:
        return SimpleNamespace(evidence=SimpleNamespace(objects=objects), recorded=SimpleNamespace(read=lambda _: name))

    common: dict[str, Any] = {"compared": "x", "unknown": [], "differs": True}
    found = {
        "code": section(**common, patch=None, files=[]),
        "data": section(**common, hashes={}, kinds={}, columns={}, causes={}),
        "parameters": section(**common, changed={}),
        "metrics": section(**common, measured={}, paired=None, curves=[]),
        "flipped records": section(**common, kinds={}),
        **sections,
    }
    shown = {"title": "x", "commit": None}
    return Difference(side("x"), side("y"), {"a": shown, "b": shown, "sections": found}, compare(before, after), None)


def test_an_export_has_the_images_of_what_differs_and_no_others(tmp_path: Path) -> None:
    before = write(tmp_path / "x", [row(1), row(2), row(3), row(4)])
    odd = {**row(5), "record_id": "../up", "label": "a/b"}
    after = write(tmp_path / "y", [row(1), row(2, png(22)), row(3, label="7"), odd])
    done = export(difference(Kept(tmp_path), before, after), tmp_path / "out")
    files = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in (tmp_path / "out").rglob("*.png")
    }
    assert files == {
        "removed/test/0/r4.png": png(4),
        "rewritten/0/r2.before.png": png(2),
        "rewritten/0/r2.after.png": png(22),
        "relabelled/0_to_7/r3.png": png(3),
        "added/test/a%2Fb/..%2Fup.png": png(5),
    }
    assert (done.images, done.lacking) == (5, [])
    erased = section(compared="x", unknown=["two were erased"], differs=True, kinds={})
    again = export(difference(Kept(tmp_path), before, after, data=erased), tmp_path / "again")
    assert (again.images, again.lacking) == (5, ["data: two were erased"])
    with pytest.raises(LineageError, match="is there already"):
        export(difference(Kept(tmp_path), before, after), tmp_path / "out")


def test_images_of_flipped_records_are_of_the_dataset_that_they_were_tested_on(tmp_path: Path) -> None:
    tables = [write(tmp_path / name, [row(1)]) for name in "xy"]
    said = pa.array([[0.9, 0.1], [0.1, 0.9]], pa.list_(pa.float32(), 2))
    a, b = (
        Predictions("m", "tested", ["0", "1"], tables[0].append_column("probabilities", said.slice(place, 1)))
        for place in (0, 1)
    )
    found = difference(Kept(tmp_path), *tables)
    found.both = Common(a, b, [], [], 0, 0)
    assert [(each.record_id, each.dataset, each.kind) for each in differing(found)] == [
        ("r1", "tested", "right_to_wrong")
    ]


def test_a_page_that_cannot_be_small_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "x", [row(1)])
    long: dict[str, Any] = {"compared": "x" * 2_100_000, "unknown": [], "differs": True}
    found = difference(Kept(tmp_path), table, table, parameters=section(**long, changed={}))
    found.document["sections"].pop("data")
    found.document["sections"]["code"] |= NO_CODE
    with pytest.raises(LineageError, match="larger than 2 MB"):
        write_page(found, tmp_path / "page.html", images=False)
    assert not (tmp_path / "page.html").exists()


def test_a_page_stays_small_whatever_it_is_about(tmp_path: Path) -> None:
    before = write(tmp_path / "x", [row(number, png(number, 400)) for number in range(60)])
    after = write(tmp_path / "y", [row(100 + number, png(100 + number, 400)) for number in range(60)])
    classes = [f"class {number} <b>" for number in range(300)]
    matrix = [[1] * 300 for _ in classes]
    score = {"value": 0.5, "low": 0.4, "high": 0.6}
    scores = {
        "records": 9,
        "subjects": 9,
        "a": 0.5,
        "b": 0.5,
        "difference": score,
        "sure": True,
        "too_small": False,
    }
    paired = {
        "records": 9,
        "subjects": 9,
        "only_a": 0,
        "only_b": 0,
        "left_out": {},
        "overall": scores,
        "flips": {"x": 1},
    }
    paired |= {"classes": dict.fromkeys(classes, scores), "slices": {}}
    paired |= {"confusion": {"classes": classes, "a": matrix, "b": matrix}}
    listed = {
        "record_id": "r",
        "subject_id": "s",
        "label": "0",
        "a": "0",
        "b": "1",
        "probability_a": 1,
        "probability_b": 1,
    }
    flipped = {"records": 10**6, "subjects": 9, "list": [listed] * 1000, "left_out": 10**6 - 1000}
    common: dict[str, Any] = {"compared": "x", "unknown": [], "differs": True}
    found = difference(
        Kept(tmp_path),
        before,
        after,
        parameters=section(**common, changed={f"key{number}": [number, "x" * 99] for number in range(9999)}),
        metrics=section(**common, measured={}, paired=paired, curves=[]),
        **{"flipped records": section(**common, kinds={"right_to_wrong": flipped})},
    )
    kinds = {"records": 60, "subjects": 60, "by": {}, "most": {}, "ids": []}
    causes: dict[str, Any] = {"removed": {}, "added": {}, "other": []}
    data: dict[str, Any] = {"hashes": {}, "kinds": {"added": kinds, "removed": kinds}, "columns": {}, "causes": causes}
    found.document["sections"]["data"] = section(**common, **data)
    found.document["sections"]["code"] |= {**NO_CODE, "patch": "<script>\n" * 200_000}
    page = tmp_path / "page.html"
    assert write_page(found, page, images=True) == []
    text = page.read_text()
    assert page.stat().st_size < LIMIT
    assert "<script" not in text
    assert "class 1 &lt;b&gt;" in text
    assert "and 9799 more." in text
    assert "270 more are left out" in text
    assert "the first part: <code>lineage diff --patch</code> shows all" in text
    assert "and 100 more values" in text
    assert len(re.findall("<img ", text)) == 48  # 24 of those added, 24 of those removed
    found.document["sections"]["code"]["patch"] = "<" * 10**6
    found.document["sections"]["parameters"]["changed"] = {f"key{number}": ["<" * 1500, 1] for number in range(300)}
    assert write_page(found, page, images=True) == []
    assert page.stat().st_size < LIMIT
    assert write_page(found, page, images=False) == []
    assert "<img " not in page.read_text()
