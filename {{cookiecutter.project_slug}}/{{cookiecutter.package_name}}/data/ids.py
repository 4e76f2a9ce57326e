"""What an id may look like, of a record and of a subject."""

from __future__ import annotations

import unicodedata
from typing import Any

NOBODY = " (where there is no subject, write the record_id)"
LOST = " (a number has lost its leading zeros)"
UNSEEN = ("Cc", "Cf", "Cn", "Zl", "Zp")  # controls, what directs the text around it, what Unicode has not assigned
JOINERS = "\u200c\u200d"  # unseen as well, but Persian, Indic scripts and emoji are not written without them


def composed(value: Any) -> Any:
    """`value` in Unicode's composed form (NFC) if it is text: systems write the same letters in different ways."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def fault_of_id(value: Any, name: str) -> str | None:
    """What is wrong with `value` as an id, as a phrase about `name`; None if nothing is.

    Slashes, quotes and letters of any script are fine. What cannot be seen, or would break a line of a list, is not;
    nor is a second way of writing the same: one person would be two, on both sides of a split.
    """
    if value is None or value == "":
        return f"an empty {name}{NOBODY if name == 'subject_id' else ''}"
    if not isinstance(value, str):
        return f"a {name} that is no text{LOST if isinstance(value, int) else ''}"
    if "\0" in value or value != value.strip() or len(value.splitlines()) > 1:
        return f"a {name} with a NUL, a line break or blanks around it"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"a {name} that is no valid text"
    unseen = None if value.isprintable() else next(filter(_is_unseen, value), None)
    if unseen is not None:
        return f"a {name} with U+{ord(unseen):04X}, which is invisible or no character"
    if value != composed(value):
        return f"a {name} that is not in Unicode's form NFC (unicodedata.normalize composes it)"
    return None


def _is_unseen(char: str) -> bool:
    return char not in JOINERS and unicodedata.category(char) in UNSEEN
