"""What the comment of a pull request leaves out: what bears an id, and what is of few subjects."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.base.errors import LineageError
from lineage.judgement.report.few import Few
from lineage.judgement.report.withheld import Searched

IDS = {"record_id": ["SCAN-00001", "SCAN-00002"], "subject_id": ["PAT_00023", "PAT_00042"]}


@pytest.fixture
def searched(tmp_path: Path) -> Searched:
    """That looks in one manifest."""
    pq.write_table(pa.table(IDS), tmp_path / "manifest.parquet")
    objects: Any = SimpleNamespace(
        listing=lambda md5: {"manifest.parquet": "m"} if md5 == "x.dir" else {},
        verified=lambda *_: tmp_path / "manifest.parquet",
    )
    return Searched(side("x.dir", objects))


def side(dataset: str, objects: Any = None, params: bytes = b"") -> Any:
    recorded = SimpleNamespace(made=lambda _: dataset)
    return SimpleNamespace(recorded=recorded, evidence=SimpleNamespace(objects=objects), read=lambda _: params)


def test_lines_with_an_id_are_left_out_and_counted(searched: Searched) -> None:
    # as Markdown, in the middle, and in an address
    bearing = [r"| class PAT\_00023 | 1 |", "of SCAN-00002.", "![x](https://host/raw/SCAN-00001.svg)"]
    clear = ["# Title", "| class NORMAL | 1 |", "@\N{ZERO WIDTH SPACE}someone of 2024", ""]
    lines = [clear[0], bearing[0], clear[1], bearing[1], *clear[2:], bearing[2]]
    said = searched.lines("\n".join(lines))
    assert said.split("\n")[:4] == clear
    assert "\n3 lines are left out: the id of a record or a subject is in them. Rename what bears it: " in said
    assert searched.lines("\n".join(clear)) == "\n".join(clear)


def test_ids_that_cannot_be_had_are_not_taken_for_none(searched: Searched) -> None:
    searched.require()
    with pytest.raises(LineageError, match=r"dataset version y\.dir lists no manifest"):
        Searched(*searched._sides, side("y.dir", searched._sides[0].evidence.objects)).require()


@pytest.mark.parametrize(
    ("params", "least"),
    [(b"evaluate: {min_subjects: 7}", 7), (b"evaluate: {min_subjects: true}", 20), (b"evaluate: 3", 20), (b"", 20)],
)
def test_how_many_subjects_a_score_needs(params: bytes, least: int) -> None:
    assert Few.of(side("x.dir", params=params)).least == least


def test_scores_of_few_subjects_are_no_part_of_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "m: t.slices.A.accuracy": 0.0,
        "m: t.slices.A.subjects": 1,
        "m: t.slices.B.subjects": 10,
        "m: t.records": 90,
    }
    monkeypatch.setattr("lineage.judgement.report.few.measured", lambda _: known)
    measured = {"m: t.slices.A.accuracy": [1.0, 0.0], "m: t.slices.B.accuracy": [1.0, 0.9], "m: t.accuracy": [0.9, 0.8]}
    one, ten = {"subjects": 1, "records": 30}, {"subjects": 10, "records": 30}
    paired = {
        "overall": ten,
        "classes": {"a": one, "b": ten},
        "slices": {"site": {"A": one, "B": ten, "...": {"left": 3}}},
    }
    document: Any = {"schema": 1, "sections": {"metrics": {"measured": measured, "paired": paired}, "code": {}}}
    found: Any = SimpleNamespace(document=document, a=side("x.dir"), b=side("x.dir"))
    reduced, count = Few(10).without(found)
    metrics = reduced["sections"]["metrics"]
    assert (list(metrics["measured"]), count) == (["m: t.slices.B.accuracy", "m: t.accuracy"], 3)
    assert metrics["paired"]["classes"] == {"b": ten}
    assert metrics["paired"]["slices"] == {"site": {"B": ten, "...": {"left": 3}}}
    assert document["sections"]["metrics"]["measured"] == measured  # `lineage diff` has all of it
    assert (reduced["schema"], reduced["sections"]["code"]) == (1, {})
