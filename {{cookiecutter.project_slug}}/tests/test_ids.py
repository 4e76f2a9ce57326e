from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project.data.ids import composed, fault_of_id


@pytest.mark.parametrize(
    "value",
    [
        "0007",
        "a/b.png",
        "../x",
        "C:\\x",
        "it's",
        "患者 7",
        "a  b",
        "-rf",
        "%",
        "é",
        "می\u200cروم",
        "👩\u200d🔬",
        "q\u0301",
    ],
)
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
        ("Zoe\u0308-1", "not in Unicode's form NFC"),
        ("\u212b", "not in Unicode's form NFC"),
        ("PAT-1\x1b[2J", "with U+001B, which is invisible"),
        ("a\tb", "with U+0009, which is invisible"),
        ("PAT\u200b-1", "with U+200B, which is invisible"),
        ("PAT-\u202e1", "with U+202E, which is invisible"),
        ("PAT-1\ufeff", "with U+FEFF, which is invisible"),
        ("PAT\u00ad-1", "with U+00AD, which is invisible"),
        ("PAT\uffff-1", "with U+FFFF, which is invisible or no character"),
    ],
)
def test_what_may_not(value: object, fault: str) -> None:
    assert fault in str(fault_of_id(value, "record_id"))


@given(st.text())
def test_an_id_fits_on_one_line_and_into_a_file(value: str) -> None:
    if fault_of_id(value, "record_id") is None:
        assert [line.strip() for line in value.encode().decode().splitlines()] == [value]
        assert composed(value) == value


@given(st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_what_is_composed_may_be_an_id_in_one_way_only(value: str) -> None:
    decomposed = unicodedata.normalize("NFD", value)
    assert fault_of_id(composed(decomposed), "record_id") is None
    assert composed(decomposed) == composed(value)
    assert decomposed == composed(value) or fault_of_id(decomposed, "record_id")


@pytest.mark.parametrize("value", [None, 7, 7.5])
def test_what_is_no_text_is_not_composed(value: object) -> None:
    assert composed(value) is value
