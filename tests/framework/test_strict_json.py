from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.base.strict_json import parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert parse(json.dumps(value).encode(), whole_numbers=True) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 1}', "'a' is there twice"),
        ('[{"b": {"a": 1, "\\u0061": 2}}]', "'a' is there twice"),
        ('"\\ud800"', "lone surrogate"),
        ("[" * 100_000, "too deeply"),
        ("[1.0]", "no number"),
        ("[NaN]", "no number"),
        ("[-Infinity]", "no number"),
        ("9007199254740993", "too large"),
        ("1" * 5000, "too large"),
        ("{", "Expecting"),
    ],
)
def test_what_has_two_meanings_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text.encode(), whole_numbers=True)


def test_a_document_of_ones_own_may_hold_any_number() -> None:
    assert parse(b"[1.5, 12345678901234567890]") == [1.5, 12345678901234567890]
    with pytest.raises(ValueError, match="twice"):
        parse(b'{"a": 1.5, "a": 2}')
