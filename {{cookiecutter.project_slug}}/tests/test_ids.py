from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project.data.ids import fault_of_id


@pytest.mark.parametrize("value", ["0007", "a/b.png", "../x", "C:\\x", "it's", "患者 7", "a  b", "-rf", "%", "e\u0301"])
def test_what_may_be_an_id(value: str) -> None:
    assert fault_of_id(value, "record_id") is None


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "an empty record_id"),
        ("", "an empty record_id"),
        (7, "lost its leading zeros"),
        (7.5, "no text"),
        (" a", "blanks around it"),
        ("a\t", "blanks around it"),
        ("a\nb", "a line break"),
        ("a\u2028b", "a line break"),
        ("a\0b", "a NUL"),
        ("\udcff", "no valid text"),
    ],
)
def test_what_may_not(value: object, fault: str) -> None:
    assert fault in str(fault_of_id(value, "record_id"))


@given(st.text())
def test_an_id_fits_on_one_line_and_into_a_file(value: str) -> None:
    if fault_of_id(value, "record_id") is None:
        assert [line.strip() for line in value.encode().decode().splitlines()] == [value]
