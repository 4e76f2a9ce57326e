from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lineage.base.errors import DamageError, DispatchError
from lineage.compute.report import MOST_NUMBERS, keep_numbers, kept_numbers, read_numbers, read_record, read_report
from lineage.dvc.listing import parse_listing

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
ENTRY = {"cmd": "x", "deps": [{"path": "a", "md5": MD5}], "outs": [{"path": "b", "md5": f"{MD5}.dir", "nfiles": 2}]}


def test_a_report() -> None:
    assert read_report(json.dumps({"entry": ENTRY, "job": {}}).encode(), "j") == ENTRY


BAD = {
    "no JSON": b"{",
    "not even text": b"\xff\xfe\x00",
    "nested": b"[" * 200_000,
    "a list": b"[]",
    "no entry": b"{}",
    "an entry that is a text": b'{"entry": "x"}',
    "no outs": json.dumps({"entry": {"deps": []}}).encode(),
    "outs that are an object": json.dumps({"entry": {**ENTRY, "outs": {"b": MD5}}}).encode(),
    "an out without a hash": json.dumps({"entry": {**ENTRY, "outs": [{"path": "b"}]}}).encode(),
    "a path for a hash": json.dumps({"entry": {**ENTRY, "outs": [{"path": "b", "md5": "../../etc"}]}}).encode(),
    "a number for a path": json.dumps({"entry": {**ENTRY, "outs": [{"path": 1, "md5": MD5}]}}).encode(),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_report(data: bytes) -> None:
    with pytest.raises(DispatchError, match="the report of job j"):
        read_report(data, "j")


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 200_000, b"\xff", b"null"])
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(DispatchError, match="a record of its run that is not readable"):
        read_record(data, "j")


def test_the_numbers_of_a_job_come_back(tmp_path: Path) -> None:
    assert kept_numbers(tmp_path) == []
    keep_numbers(tmp_path, [({"loss": 0.1, "text": "no number"}, 1), ({"loss": math.nan}, 2), ({"best": 2}, None)])  # type: ignore[dict-item]
    first, second, last = read_numbers(json.dumps({"reported": kept_numbers(tmp_path)}).encode(), "j")
    assert (first, last) == (({"loss": 0.1}, 1), ({"best": 2.0}, None))
    assert math.isnan(second[0]["loss"]) and second[1] == 2


def test_of_too_many_numbers_the_last_are_kept(tmp_path: Path) -> None:
    keep_numbers(tmp_path, [({"loss": 1 / (step + 1)}, step) for step in range(40_000)])
    kept = kept_numbers(tmp_path)
    assert MOST_NUMBERS / 2 < len(json.dumps(kept)) <= MOST_NUMBERS
    assert kept[-1] == [{"loss": 1 / 40_000}, 39_999]


@pytest.mark.parametrize(
    "reported",
    [{"a": 1}, 7, [1], [[{}, 1, 2]], [["x", 1]], [[{"a": "x"}, 1]], [[{"a": True}, 1]], [[{}, "1"]], [[{}, True]]],
)
def test_what_are_no_numbers(reported: object) -> None:
    with pytest.raises(DispatchError, match="the numbers in the report of job j"):
        read_numbers(json.dumps({"reported": reported}).encode(), "j")


def listing(*names: object, md5: object = MD5) -> bytes:
    return json.dumps([{"relpath": name, "md5": md5} for name in names]).encode()


def test_a_listing() -> None:
    assert parse_listing(listing("a/b", "a/c", "d"), "m") == {"a/b": MD5, "a/c": MD5, "d": MD5}


BAD_LISTINGS = {
    "no JSON": b"[",
    "nested": b"[" * 200_000,
    "an object": b"{}",
    "a list of texts": b'["a"]',
    "no hash": b'[{"relpath": "a"}]',
    "a path for a hash": listing("a", md5="../../etc/passwd"),
    "a folder for a file": listing("a", md5=f"{MD5}.dir"),
    "a number for a name": listing(1),
    "a name twice": listing("a", "a"),
    "above": listing("../a"),
    "above, later": listing("a/../../b"),
    "absolute": listing("/etc/passwd"),
    "the folder itself": listing("."),
    "no name": listing(""),
    "a zero byte": listing("a\0b"),
    "a file that is a folder too": listing("a", "a/b"),
}


@pytest.mark.parametrize("data", BAD_LISTINGS.values(), ids=BAD_LISTINGS.keys())
def test_what_is_no_listing(data: bytes) -> None:
    with pytest.raises(DamageError, match="the listing m "):
        parse_listing(data, "m")
