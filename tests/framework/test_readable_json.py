"""lineage.json is written for a review: short, and the same document."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lineage.base.readable_json import readable

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_it_is_the_same_document(document: dict[str, Any]) -> None:
    assert json.loads(readable(document)) == document
    assert readable(json.loads(readable(document))) == readable(document)


def test_each_file_of_a_listing_is_one_line() -> None:
    files = [{"path": f"{number}.parquet", "md5": "0" * 32, "size": number} for number in range(3)]
    document = {"schema": 2, "dataset": {"md5": "ü", "subjects": {"root": "r"}, "files": files}, "classes": ["a", "b"]}
    lines = readable(document).splitlines()
    assert lines[:7] == [
        "{",
        '  "schema": 2,',
        '  "dataset": {',
        '    "md5": "ü",',
        '    "subjects": {',
        '      "root": "r"',
        "    },",
    ]
    assert lines[8:11] == [f"      {json.dumps(file)}," for file in files[:2]] + [f"      {json.dumps(files[2])}"]
    assert lines[-2:] == ['  "classes": ["a", "b"]', "}"]
