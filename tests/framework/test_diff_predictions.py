"""Predictions of two models are compared on the records that both have, and on no others."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.base.errors import DamageError, LineageError
from lineage.dvc.dvcfile import parse_pipeline
from lineage.dvc.objects import Objects
from lineage.dvc.recorded import Recorded
from lineage.judgement.diff.data import data
from lineage.judgement.diff.scores import _measured, _paired, flips
from lineage.judgement.predictions import Predictions, common, read_predictions
from lineage.records.dataset import MANIFEST_SCHEMA
from lineage.records.predictions import CLASSES_KEY, write_predictions

CLASSES = ["no", "yes"]


class Kept(Objects):
    """Objects that lie in a folder under their MD5."""

    def __init__(self, folder: Path) -> None:
        super().__init__(SimpleNamespace())  # type: ignore[arg-type]
        self.folder = folder
        self.listings: dict[str, dict[str, str]] = {}

    def put(self, file: Path) -> str:
        md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        file.replace(self.folder / md5)
        return md5

    def listing(self, md5: str) -> dict[str, str]:  # type: ignore[override]  # there it is kept
        return self.listings[md5]

    def verified(self, md5: str, scratch: Path) -> Path:
        return self.folder / md5


@pytest.fixture
def objects(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def made(
    objects: Kept, rows: list[tuple[Any, ...]], classes: list[str] | None = None, name: str = "x.dir"
) -> Predictions:
    """Predictions of `record, subject, split, label, content, probability of yes`."""
    folder = objects.folder / "dataset"
    folder.mkdir(exist_ok=True)
    table = [dict(zip(MANIFEST_SCHEMA.names, row[:5], strict=True)) for row in rows]
    manifest = folder / "manifest.parquet"
    pq.write_table(pa.Table.from_pylist(table, MANIFEST_SCHEMA), manifest)
    said = {
        split: np.array([[1 - row[5], row[5]] for row in rows if row[2] == split], dtype=np.float32)
        for split in ("test", "train")
        if any(row[2] == split for row in rows)
    }
    file = objects.folder / "predictions"
    write_predictions(file, folder, classes or CLASSES, said)
    objects.listings[name] = {"manifest.parquet": objects.put(manifest)}
    return read_predictions(objects, objects.put(file), name)


BEFORE = [
    ("r4", "s4", "test", "no", "d", 0.9),
    ("r1", "s1", "test", "yes", "a", 0.9),
    ("r2", "s1", "test", "no", "b", 0.8),
    ("r3", "s3", "test", "yes", "c", 0.1),
    ("r5", "s5", "train", "no", "e", 0.1),
]


def test_predictions_come_with_the_hash_of_the_image(objects: Kept) -> None:
    found = made(objects, BEFORE)
    assert found.column("content_sha256").tolist() == ["d", "a", "b", "c", "e"]
    assert found.right.tolist() == [0, 1, 0, 0, 1]
    assert found.probabilities.shape == (5, 2)
    assert found.slices == []
    assert found.of_split("train").subjects.tolist() == ["s5"]


def test_only_records_that_are_the_same_on_both_sides_are_compared(objects: Kept) -> None:
    after = [
        ("r9", "s9", "test", "no", "z", 0.1),
        ("r1", "s1", "test", "yes", "a", 0.2),
        ("r2", "s1", "test", "yes", "b", 0.8),  # another label
        ("r3", "s3", "test", "yes", "C", 0.7),  # other bytes
        ("r4", "s4", "test", "no", "d", 0.1),
        ("r5", "s5", "test", "no", "e", 0.1),  # in train before
    ]
    both = common(made(objects, BEFORE), made(objects, after, name="y.dir"))
    assert both.a.column("record_id").tolist() == both.b.column("record_id").tolist() == ["r1", "r4"]
    assert (both.relabelled, both.rewritten) == (["r2"], ["r3"])
    assert (both.only_a, both.only_b) == (0, 2)
    assert both.a.right.tolist() == [1, 0]
    assert both.b.right.tolist() == [0, 1]
    assert both.a.subjects.tolist() == ["s1", "s4"]


def test_no_flip_among_some_records_says_nothing_of_the_others(objects: Kept) -> None:
    before = made(objects, BEFORE)
    assert flips(common(before, before))["state"] == "equal"
    changed = [(*row[:4], "other" if row[0] == "r1" else row[4], row[5]) for row in BEFORE if row[0] != "r2"]
    found = flips(common(before, made(objects, changed, name="y.dir")))
    assert found["state"] == "unknown"
    assert found["unknown"] == [
        "1 record of both test splits, with another label or other bytes",
        "1 record in the test split of one side alone",
    ]


def test_a_metric_in_git_is_read_only_if_it_is_what_the_stage_wrote() -> None:
    written: dict[str, bytes] = {"scores.json": b'{"accuracy": 0.5}'}
    md5 = hashlib.md5(written["scores.json"], usedforsecurity=False).hexdigest()
    lock: Any = {"evaluate": {"outs": [{"path": "scores.json", "md5": md5}]}}
    stages = {"stages": {"evaluate": {"cmd": "x", "metrics": [{"scores.json": {"cache": False}}]}}}
    pipeline = parse_pipeline(stages, {})
    side: Any = SimpleNamespace(
        title="A", pipeline=pipeline, recorded=Recorded(lock, pipeline), read=lambda path: written.get(path)
    )
    unknown: list[str] = []
    assert _measured(side, unknown, set()) == {"scores.json": {"accuracy": 0.5}}
    assert unknown == []
    for faulty, said in (({"scores.json": b'{"accuracy": 0.9}'}, "is not what the stage wrote"), ({}, "is not there")):
        written, unknown, lost = faulty, [], set[str]()
        assert _measured(side, unknown, lost) == {}
        assert lost == {"scores.json"}
        assert said in unknown[0]


def test_metrics_that_have_no_names_are_unknown() -> None:
    md5 = hashlib.md5(b"0.5", usedforsecurity=False).hexdigest()
    lock: Any = {"evaluate": {"outs": [{"path": "scores.json", "md5": md5}]}}
    pipeline = parse_pipeline(
        {"stages": {"evaluate": {"cmd": "x", "metrics": [{"scores.json": {"cache": False}}]}}}, {}
    )
    side: Any = SimpleNamespace(title="A", pipeline=pipeline, recorded=Recorded(lock, pipeline), read=lambda _: b"0.5")
    unknown, lost = list[str](), set[str]()
    assert (_measured(side, unknown, lost), lost, len(unknown)) == ({}, {"scores.json"}, 1)


def test_classes_are_compared_by_name(objects: Kept) -> None:
    turned = [(*row[:5], 1 - row[5]) for row in BEFORE]
    both = common(made(objects, BEFORE), made(objects, turned, classes=["yes", "no"]))
    assert both.a.right.tolist() == both.b.right.tolist()


def test_scores_are_by_class_and_by_slice(objects: Kept) -> None:
    """A slice may be a column that only one of them was evaluated by."""
    rows = [(f"r{number:02d}", f"s{number:02d}", "test", "yes", str(number), 0.9) for number in range(60)]
    before = made(objects, rows)
    after = made(objects, [(*row[:5], 0.1 if number >= 50 else 0.9) for number, row in enumerate(rows)])
    sites = pa.array(["north"] * 25 + ["south"] * 34 + [None], pa.string())
    after = Predictions(after.md5, after.dataset, CLASSES, after.table.append_column("site", sites))
    found = _paired(common(before, after))
    assert found["overall"]["difference"]["value"] == pytest.approx(-10 / 60)
    assert found["overall"]["sure"]
    assert found["flips"] == {"right_to_wrong": 10}
    assert found["confusion"] == {"classes": CLASSES, "a": [[0, 0], [0, 60]], "b": [[0, 0], [10, 50]]}
    north, south, none = (found["slices"]["site"][name] for name in ("north", "south", "(none)"))
    assert (north["records"], north["a"], north["b"], north["sure"]) == (25, 1.0, 1.0, False)
    assert (south["records"], south["b"], south["sure"]) == (34, pytest.approx(25 / 34), True)
    assert (none["records"], none["too_small"]) == (1, True)
    assert _paired(common(after, before))["slices"]["site"].keys() == {"north", "south", "(none)"}


def test_records_are_grouped_by_value_in_one_go(objects: Kept) -> None:
    made_of = made(objects, BEFORE)
    values = ["b", None, "a", "b", None]
    found = Predictions(
        "", "", CLASSES, made_of.table.append_column("site", pa.chunked_array([values[:2], values[2:]]))
    )
    assert {value: rows.tolist() for value, rows in found.rows_by("site").items()} == {
        "b": [0, 3],
        None: [1, 4],
        "a": [2],
    }
    assert found.owners.tolist() == [2, 0, 0, 1, 3]  # in the order of their ids, by which draws are repeatable
    assert found.filter(pa.array([False] * 5)).rows_by("site") == {}
    assert found.filter(pa.array([False] * 5)).owners.tolist() == []


def test_nothing_in_common_is_empty_and_not_an_error(objects: Kept) -> None:
    others = [(f"q{row[0]}", *row[1:]) for row in BEFORE]
    both = common(made(objects, BEFORE), made(objects, others))
    assert both.a.table.num_rows == both.b.table.num_rows == 0
    assert (both.only_a, both.only_b) == (4, 4)
    assert both.a.right.tolist() == []


def test_what_is_no_file_of_predictions_is_refused(objects: Kept) -> None:
    made(objects, BEFORE)
    file = objects.folder / "other"
    for table in (
        pa.table({"record_id": ["r1"]}),
        pa.table({"record_id": ["r1"]}).replace_schema_metadata({CLASSES_KEY: b'["no"]'}),
    ):
        pq.write_table(table, file)
        with pytest.raises(LineageError, match="no file of predictions"):
            read_predictions(objects, objects.put(file), "x.dir")
    file.write_bytes(b"PAR1")
    with pytest.raises(LineageError, match="cannot be read"):
        read_predictions(objects, objects.put(file), "x.dir")


def test_a_record_that_the_dataset_does_not_have_is_damage(objects: Kept) -> None:
    whole = made(objects, BEFORE)
    made(objects, BEFORE[:-1], name="less.dir")
    with pytest.raises(DamageError, match="name 1 records"):
        read_predictions(objects, whole.md5, "less.dir")


def test_a_manifest_that_names_a_record_twice_leaves_the_records_unknown(objects: Kept) -> None:
    made(objects, BEFORE)
    file = objects.folder / "twice.parquet"
    manifest = pq.read_table(objects.folder / objects.listings["x.dir"]["manifest.parquet"])
    pq.write_table(pa.concat_tables([manifest, manifest.slice(0, 1)]), file)
    objects.listings["y.dir"] = {"manifest.parquet": objects.put(file)}

    def side(dataset: str) -> Any:
        recorded = SimpleNamespace(read=lambda _: dataset, md5=lambda _: "raw")
        erasures = SimpleNamespace(of_dataset=lambda _: None)
        return SimpleNamespace(
            title=dataset, recorded=recorded, evidence=SimpleNamespace(objects=objects, erasures=erasures)
        )

    found, compared = data(side("x.dir"), side("y.dir"))
    assert (found["state"], found["unknown"], compared) == (
        "different",
        ["the records: a manifest names a record twice"],
        None,
    )


def test_a_record_twice_is_refused(objects: Kept) -> None:
    found = made(objects, BEFORE)
    file = objects.folder / "twice"
    table = pq.read_table(objects.folder / found.md5)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), file)
    with pytest.raises(LineageError, match="names a record twice"):
        read_predictions(objects, objects.put(file), "x.dir")


def test_probabilities_that_are_no_numbers_are_no_prediction(objects: Kept) -> None:
    """The largest of them would be the first class, which may be nearly everybody's."""
    with pytest.raises(LineageError, match="probabilities that are no numbers"):
        made(objects, [("r1", "s1", "test", "no", "a", float("nan")), *BEFORE[2:]])
