"""What counts as a tombstone: a file of Git's, which anybody may have written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lineage.base.errors import DamageError
from lineage.proof.tombstones import parse

MD5, HASH = "a" * 32, "b" * 64
DATASET = {"md5": f"{MD5}.dir", "root": HASH, "salt": "s", "keys": [HASH], "redacted": MD5}
WHOLE: dict[str, Any] = {
    "schema": 1,
    "id": "2025-06-01-abcdef",
    "moment": "2025-06-01T10:00:00+00:00",
    "reason": "request 17",
    "objects": [{"md5": MD5, "path": "data/raw/records.parquet"}],
    "not_found": [],
    "datasets": [DATASET],
    "models": ["models:/digits/1"],
}


def read(**changed: object) -> Any:
    return parse(json.dumps(WHOLE | changed).encode(), str(WHOLE["id"]))


def test_a_whole_one() -> None:
    document = read()
    assert document.objects[0].md5 == MD5
    assert document.datasets[0].keys == [HASH]


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": 2},
        {"id": "another"},
        {"id": "../x"},
        {"moment": "2025-06-01T10:00:00"},
        {"moment": "yesterday"},
        {"moment": None},
        {"reason": "x" * 2001},
        {"reason": None},
        {"objects": {MD5: "data/raw/records.parquet"}},
        {"objects": [{"md5": "../../etc", "path": "x"}]},
        {"objects": [{"md5": MD5.upper(), "path": "x"}]},
        {"objects": [{"md5": MD5, "path": "x", "more": 1}]},
        {"datasets": [DATASET | {"keys": []}]},
        {"datasets": [DATASET | {"keys": ["b" * 63]}]},
        {"datasets": [DATASET | {"keys": HASH}]},
        {"datasets": [DATASET | {"root": None}]},
        {"datasets": [DATASET, DATASET | {"root": "c" * 64}]},
        {"models": [1]},
        {"more": 1},
    ],
    ids=repr,
)
def test_what_is_none(changed: dict[str, object]) -> None:
    with pytest.raises(DamageError):
        read(**changed)


def test_a_part_that_is_missing() -> None:
    for name in WHOLE:
        document = {key: value for key, value in WHOLE.items() if key != name}
        with pytest.raises(DamageError, match=name):
            parse(json.dumps(document).encode(), str(WHOLE["id"]))


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 200_000, json.dumps(WHOLE).encode()[:-1] + b', "id": "x"}'],
    ids=["empty", "null", "list", "half", "no text", "nested", "a name twice"],
)
def test_no_document(data: bytes) -> None:
    with pytest.raises(DamageError):
        parse(data, str(WHOLE["id"]))
