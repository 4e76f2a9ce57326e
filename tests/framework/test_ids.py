from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.records.ids import fault_of_id, normalize_nfc


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
        "श\u094d\u200dर",
        "👩\U0001f3fd\u200d🔬",
        "🏃\u200d♂",
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
        ("PAT\uffff-1", "with U+FFFF, which is invisible, a blank like others, or no character"),
        ("PAT-1\ufe0f", "with U+FE0F"),
        ("PAT\u3164-1", "with U+3164"),
        ("PAT\uffa0-1", "with U+FFA0"),
        ("PAT\u034f-1", "with U+034F"),
        ("PAT\u2800-1", "with U+2800"),
        ("PAT\U000e0100-1", "with U+E0100"),
        ("PAT\u17b5-1", "with U+17B5"),
        ("PAT\u00a01", "with U+00A0"),
        ("PAT\u20071", "with U+2007"),
        ("PAT\ue000-1", "with U+E000"),
        ("J\ufffdrg", "with U+FFFD"),
        ("PAT\U0001d159-1", "with U+1D159"),
        ("PAT\u200d-1", "with U+200D"),
        ("PAT\u200c-1", "with U+200C"),
        ("\u200d👩", "with U+200D"),
        ("👩\u200d", "with U+200D"),
        ("👩\u200d\u200d🔬", "with U+200D"),
        ("©\u200d®", "with U+200D"),
        ("برادر\u200cها", "with U+200C"),  # noqa: RUF001
    ],
)
def test_what_may_not(value: object, fault: str) -> None:
    assert fault in str(fault_of_id(value, "record_id"))


# Default_Ignorable_Code_Point of DerivedCoreProperties.txt, where 4174 code points have it. It is as large since 2016.
IGNORABLE = """00AD 034F 061C 115F 1160 17B4 17B5 180B 180C 180D 180E 180F 200B 200E 200F 3164 FEFF FFA0"""
RANGES = ["202A 202E", "2060 206F", "FE00 FE0F", "FFF0 FFF8", "1BCA0 1BCA3", "1D173 1D17A", "E0000 E0FFF"]


def test_nothing_that_unicode_calls_ignorable_may_be_in_an_id() -> None:
    spans = [(int(first, 16), int(last, 16)) for first, last in map(str.split, RANGES)]
    codes = [
        *(int(code, 16) for code in IGNORABLE.split()),
        *(c for first, last in spans for c in range(first, last + 1)),
    ]
    assert len(codes) == 4174 - 2  # the two joiners are needed here and there
    assert [hex(code) for code in codes if fault_of_id(f"PAT{chr(code)}1", "record_id") is None] == []


def test_no_blank_but_the_space_may_be_in_an_id() -> None:
    blanks = [chr(code) for code in range(0x110000) if chr(code).isspace() or unicodedata.category(chr(code)) == "Zs"]
    assert [ascii(char) for char in blanks if fault_of_id(f"PAT{char}1", "record_id") is None] == ["' '"]


@given(st.text())
def test_an_id_fits_on_one_line_and_into_a_file(value: str) -> None:
    if fault_of_id(value, "record_id") is None:
        assert [line.strip() for line in value.encode().decode().splitlines()] == [value]
        assert normalize_nfc(value) == value


@given(st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_what_is_composed_may_be_an_id_in_one_way_only(value: str) -> None:
    decomposed = unicodedata.normalize("NFD", value)
    assert fault_of_id(normalize_nfc(decomposed), "record_id") is None
    assert normalize_nfc(decomposed) == normalize_nfc(value)
    assert decomposed == normalize_nfc(value) or fault_of_id(decomposed, "record_id")


@pytest.mark.parametrize("value", [None, 7, 7.5])
def test_what_is_no_text_is_not_composed(value: object) -> None:
    assert normalize_nfc(value) is value
