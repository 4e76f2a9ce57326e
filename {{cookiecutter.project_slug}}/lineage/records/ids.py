"""What an id may look like, of a record and of a subject."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

NOBODY = " (where there is no subject, write the record_id)"
LOST = " (a number has lost its leading zeros)"
JOINERS = "\u200c\u200d"  # unseen as well, but Persian, Indic scripts and emoji are not written without them

# What `str.isprintable` lets pass although nothing is seen. First: Unicode's property Default_Ignorable_Code_Point
# (DerivedCoreProperties.txt), which Python does not know: fillers, variation selectors, the combining grapheme joiner.
# Last: what is drawn as nothing, or in the place of what was lost, without a property that says so.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_BLANK = "\u2800\ufffc\ufffd\U00013441\U00013442\U00016fe4\U0001d159"
_UNSEEN = re.compile(f"[{_IGNORABLE}{_BLANK}]")


def normalize_nfc(value: Any) -> Any:
    """`value` in Unicode's composed form (NFC) if it is text: systems write the same letters in different ways."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def fault_of_id(value: Any, name: str) -> str | None:
    """What is wrong with `value` as an id, as a phrase about `name`; None if nothing is.

    Slashes, quotes and letters of any script are fine. What cannot be seen, or would break a line of a list, is not;
    nor is a second way of writing the same: one person would be two, on both sides of a split. Letters of two scripts
    that look alike are not distinguished.
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
    is_plain = value.isprintable() and _UNSEEN.search(value) is None  # there may be millions, nearly all of them plain
    unseen = None if is_plain else next((char for place, char in enumerate(value) if _is_unseen(value, place)), None)
    if unseen is not None:
        return f"a {name} with U+{ord(unseen):04X}, which is invisible, a blank like others, or no character"
    if value != normalize_nfc(value):
        return f"a {name} that is not in Unicode's form NFC (unicodedata.normalize composes it)"
    return None


def _is_unseen(value: str, place: int) -> bool:
    char = value[place]
    if char in JOINERS:
        return not _joins(value, place)
    # not printable: controls, what directs the text around it, blanks but the space, private use, not assigned
    return not char.isprintable() or _UNSEEN.match(char) is not None


def _joins(value: str, place: int) -> bool:
    """Whether a joiner stands where it changes what is seen: by RFC 5892, appendix A, or between two pictures.

    Anywhere else it is a second way of writing the same.
    """
    from idna.core import valid_contextj

    if not 0 < place < len(value) - 1:
        return False
    before, after = value[place - 1], value[place + 1]
    if value[place] == "\u200d" and min(before, after) >= "\u2190" and unicodedata.category(after) == "So":
        return unicodedata.category(before) in ("So", "Sk")  # Sk: the colour of a skin
    try:
        return valid_contextj(value, place)
    except ValueError:  # beside a character without a name
        return False
