from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.base.printable import printable
from lineage.base.terminal import block, guard_output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("train loss 0.12", "train loss 0.12"),
        ("Grüße, 你好, 👩‍🔬", "Grüße, 你好, 👩‍🔬"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x1b[2J\x1b[1;31mred", r"\x1b[2J\x1b[1;31mred"),
        ("\x9b31m \x7f \x85", r"\x9b31m \x7f \x85"),
        ("10%\r20%\n\t", r"10%\x0d20%\x0a\x09"),
        ("PAT-\u202e32000\u2066", r"PAT-\u202e32000\u2066"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("half \ud83d", r"half \ud83d"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_of_a_block_stay() -> None:
    assert block("a\n\tb\x1b") == "a\n\tb\\x1b"


@given(st.text())
def test_the_result_is_one_line_that_can_be_written(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


def test_a_terminal_of_another_encoding_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    guard_output()
    print("✓ done", flush=True)
    assert written.getvalue() == b"\\u2713 done\n"


def test_what_commands_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours are the program's own; JSON stays JSON, and says the same."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8"))
    guard_output()
    guard_output()
    print("\x1b[1;32mok\x1b[0m \x1b]0;owned\x07\u202e", flush=True)
    assert written.getvalue().decode() == "\x1b[1;32mok\x1b[0m \\x1b]0;owned\\x07\\u202e\n"
    written.seek(0)
    written.truncate()
    name = "a\x1b\x9b\x7f\u202e\u2028\ud800ü\n"
    print(json.dumps({"name": name}, ensure_ascii=False), flush=True)
    shown = written.getvalue().decode()
    assert json.loads(shown) == {"name": name}
    assert shown.rstrip("\n").isprintable()
