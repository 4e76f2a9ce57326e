"""What `lineage diff` says: equal only where all was compared, numbers with their interval, no ids in Markdown."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from lineage.base.markdown import plain
from lineage.judgement.diff.code import _patch
from lineage.judgement.diff.curves import _columns, drawn
from lineage.judgement.diff.section import changes, section
from lineage.judgement.diff.show import markdown
from lineage.judgement.diff.words import change, lines, score, sentence


@pytest.mark.parametrize(
    ("differs", "unknown", "state", "said"),
    [
        (False, [], "equal", "Equal: all was compared (3 files)"),
        (False, ["x"], "unknown", "Unknown: no difference was found in what could be compared (3 files)"),
        (True, ["x"], "different", "Different; compared: 3 files"),
    ],
)
def test_a_section_is_equal_only_if_all_was_compared(differs: bool, unknown: list[str], state: str, said: str) -> None:
    found = section(compared="3 files", unknown=unknown, differs=differs)
    assert found["state"] == state
    assert sentence(found) == said


def test_values_differ_by_type_as_well() -> None:
    before = {"a": 1, "b": True, "c": 1.0, "d": [1], "gone": 1, "none": None}
    after = {"a": 1, "b": 1, "c": 1, "d": [1], "new": 2}
    assert changes(before, after) == {
        "b": [True, 1],
        "c": [1.0, 1],
        "gone": [1, None],
        "new": [None, 2],
        "none": [None, None],
    }


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ([0.5, 0.75], "0.5 -> 0.75 (+0.25)"),
        ([0.123456789, 0.123456788], "0.123456789 -> 0.123456788 (-1e-09)"),
        ([1, 1.0], "1 -> 1.0 (+0)"),
        ([True, False], "True -> False"),
        ([None, "x"], "(none) -> x"),
    ],
)
def test_a_change_is_visible(pair: list[Any], said: str) -> None:
    assert change(pair) == said


def scored(low: float | None, high: float | None, *, sure: bool = False, subjects: int = 40) -> dict[str, Any]:
    by = {"value": -0.1, "low": low, "high": high}
    return {
        "records": 50,
        "subjects": subjects,
        "a": 0.6,
        "b": 0.5,
        "difference": by,
        "sure": sure,
        "too_small": subjects < 20,
    }


def test_a_score_says_how_sure_it_is() -> None:
    assert score(scored(-0.2, -0.05, sure=True)).endswith("(-0.100, 95% [-0.200, -0.050]; 50 records of 40 subjects)")
    assert "may be chance" in score(scored(-0.2, 0.05))
    assert "too small to say: fewer than 20 subjects" in score(scored(None, None, subjects=3))
    assert "nothing says how much it varies" in score(scored(None, None))


def document() -> dict[str, Any]:
    side = {"title": "models:/x@champion", "commit": None, "date": None, "subject": None}
    listed: dict[str, Any] = {"record_id": "SCAN-1", "subject_id": "PAT-1", "label": "0", "a": "0", "b": "1"}
    listed |= {"probability_a": 0.9, "probability_b": 0.8}
    flips: dict[str, Any] = {"right_to_wrong": {"records": 1, "subjects": 1, "list": [listed], "left_out": 0}}
    kinds = {
        "removed": {"records": 1, "subjects": 1, "by": {"split": {"test": 1}}, "most": {"PAT-1": 1}, "ids": ["SCAN-1"]}
    }
    causes = {
        "removed": {"unknown": {"records": 1, "subjects": 1}},
        "added": {},
        "other": ["data.fraction: 1.0 -> 0.5"],
    }
    data: dict[str, Any] = {"hashes": {}, "kinds": kinds, "columns": {}, "causes": causes}
    code: dict[str, Any] = {
        "commits": {f"{what}_{key}": [] for what in ("only", "more") for key in "ab"},
        "files": [],
        "patch": "+```\n",
    }
    code |= {
        "framework": {"version": None, "files": 0},
        "uncommitted": {"files": [], "outdated": [], "trained_with": {}},
    }
    common: dict[str, Any] = {"compared": "x", "unknown": [], "differs": True}
    sections = {
        "code": section(**common, **code),
        "parameters": section(**common, changed={"train.lr|<b>": [0.1, 0.2]}),
        "data": section(**common, **data),
        "flipped records": section(**common, kinds=flips),
    }
    return {"a": side, "b": side, "sections": sections}


def test_records_are_named_on_a_terminal_and_not_in_markdown() -> None:
    found = document()
    told = "\n".join(line for name, each in found["sections"].items() for line in lines(name, each, ids=True))
    assert "SCAN-1 of PAT-1, a 0: 0 (0.90) -> 1 (0.80)" in told
    assert "cause unknown, neither consent nor erasure shows it (1 record of 1 subject)" in told
    assert "what else differs: data.fraction: 1.0 -> 0.5" in told
    text = markdown(found)
    assert "1 record removed, of 1 subject" in text
    assert "SCAN-1" not in text
    assert "PAT-1" not in text


def test_markdown_obeys_nothing_of_others() -> None:
    text = markdown(document())
    assert r"| train.lr\|\<b\> | 0.1 | 0.2 |" in text
    assert "````diff\n+```\n````" in text
    assert plain("@someone models:/x@champion [a](b)") == "@\N{ZERO WIDTH SPACE}someone models:/x@champion \\[a\\](b)"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\nb\nc\n", b"a\nB\nc\n"),
        (None, b"new\n"),
        (b"gone\n", None),
        (b"a", b"a\n"),
        (b"a\n", b"b"),
        (b"x\r\ny\x0cz\n", b"x\ny\x0cz\n"),
    ],
)
def test_a_patch_is_one_for_git(tmp_path: Path, before: bytes | None, after: bytes | None) -> None:
    file = tmp_path / "code" / "x.py"
    file.parent.mkdir()
    if before is not None:
        file.write_bytes(before)
    (tmp_path / "patch").write_bytes(_patch("code/x.py", before, after).encode())
    subprocess.run(
        ["git", "apply", "patch"],
        cwd=tmp_path,
        check=True,
        env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
    )
    assert (file.read_bytes() if file.exists() else None) == after


def test_a_patch_of_what_is_no_text_only_says_so() -> None:
    assert "Binary files differ" in _patch("x.so", b"\0", b"\0\1")


def test_curves_are_the_columns_that_are_numbers() -> None:
    text = "epoch,loss,name\n1,2.0,a\n2,nan,b\n3,1.0,c\nbroken\n"
    ((name, x, points),) = _columns(text)
    assert (name, x, points) == ("loss", "epoch", [[1.0, 2.0], [3.0, 1.0]])
    found = drawn({"a": points, "b": [[2.0, 1.5]]}, width=100, height=10)
    assert found["a"] == "0.0,0.0 100.0,10.0"
    assert found["b"] == "50.0,5.0"
    assert _columns("") == []
    long = "x,y\n" + "".join(f"{number},{number}\n" for number in range(5000))
    assert len(_columns(long)[0][2]) <= 400
