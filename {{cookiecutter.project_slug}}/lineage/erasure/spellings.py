"""An id in running bytes: as formats and encodings write it, and as a whole word, not as a part of another.

A hit is sure where nobody else can be meant. A short number, or a single short word, may mean anything: it is a year, a
size, a first name. And `PAT-0001` in `PAT-0001-A` may be somebody else. Such hits are for a person to look at.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from enum import IntEnum
from urllib.parse import quote, quote_plus

WIDE = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
LEGACY = ("cp1252", "cp437", "mac_roman", "cp1251", "koi8_r", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr")
CONTEXT = 32  # bytes beside a hit that are looked at
ESCAPE = re.compile(r"(\\[abfnrtv0]|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|%[0-9a-fA-F]{2})$")  # what a letter may end
WITHOUT_BLANKS = 0x2E80  # from here on scripts that put no blank between words
DIGITS = 9  # of a number that nothing else has by chance


class Hit(IntEnum):
    """Whether somebody is named."""

    NO = 0
    MAYBE = 1
    SURE = 2


class Spellings:
    """All ways in which some ids are written."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._known: dict[bytes, tuple[str, str, bool]] = {}  # by bytes: spelling, encoding, whether it is distinct
        for subject_id in ids:
            for spelling in spellings(subject_id):
                for encoding in (*WIDE, *LEGACY):
                    self._add(spelling, encoding, is_distinct(subject_id))
        longest = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, longest)) or b"(?!)")
        self.overlap = max(map(len, longest), default=1) + 2 * CONTEXT  # of two chunks that are searched in turn

    def _add(self, spelling: str, encoding: str, distinct: bool) -> None:
        try:
            self._known.setdefault(spelling.encode(encoding), (spelling, encoding, distinct))
        except UnicodeEncodeError:
            return

    def in_text(self, text: str) -> Hit:
        """Whether a text names one of them."""
        return self.in_bytes(text.encode("utf-8", "surrogateescape"))

    def in_bytes(self, data: bytes, *, is_first: bool = True, is_last: bool = True) -> Hit:
        """Whether these bytes, whatever they are, name one of them.

        They may be a part of more, and overlap with what comes before and after: then a hit at the edge, where what is
        beside it cannot be seen, is left to that.
        """
        best, position = Hit.NO, 0
        while best < Hit.SURE and (found := self._pattern.search(data, position)):
            start, end = found.span()
            position = start + 1
            if (not is_first and start < CONTEXT) or (not is_last and end > len(data) - CONTEXT):
                continue
            spelling, encoding, distinct = self._known[found.group()]
            # in whole units of four bytes from the hit, as the widest encoding has them
            before = data[start - min(start // 4 * 4, CONTEXT) : start].decode(encoding, "ignore")
            before = before or data[:start].decode(encoding, "ignore")
            after = data[end : end + CONTEXT].decode(encoding, "ignore")
            best = max(best, _judge(before, spelling, after, distinct))
        return best


def spellings(subject_id: str) -> set[str]:
    """An id as text, CSV, JSON, Python, YAML, SQL, HTML and addresses write it, composed and decomposed."""
    found = set()
    for text in (unicodedata.normalize(form, subject_id) for form in ("NFC", "NFD")):
        as_json = [json.dumps(text, ensure_ascii=escaped)[1:-1] for escaped in (True, False)]
        addresses = [quote(text), quote(text, safe=""), quote_plus(text)]
        found |= {text, text.replace('"', '""'), text.replace("'", "''"), repr(text)[1:-1]}
        found |= {*as_json, *(each.replace("/", "\\/") for each in as_json)}
        found |= {text.encode("unicode_escape").decode(), html.escape(text), html.escape(text, quote=False)}
        found |= {*addresses, *(re.sub("%..", lambda hit: hit.group().lower(), each) for each in addresses)}
    return found


def is_distinct(subject_id: str) -> bool:
    """Whether it is unlikely that these characters mean anything but this id."""
    letters, digits = (sum(map(test, subject_id)) for test in (str.isalpha, str.isdigit))
    if not letters:
        return digits >= DIGITS
    return len(subject_id.encode()) >= 6 and bool(digits or len(subject_id.split()) > 1)


def _judge(before: str, spelling: str, after: str, distinct: bool) -> Hit:
    escaped = ESCAPE.search(before)
    left = "" if escaped else before[-1:]
    right = after[:1]
    beside = [
        char
        for char, edge in ((left, spelling[0]), (right, spelling[-1]))
        if char and _is_part(char) and _is_part(edge)
    ]
    if any(ord(char) < WITHOUT_BLANKS for char in beside):
        return Hit.NO
    is_joined = re.search(r"[^\W_]-$|\d\.$", "" if escaped else before) or re.match(r"-[^\W_]|\.\d", after)
    return Hit.SURE if distinct and not beside and not is_joined else Hit.MAYBE


def _is_part(char: str) -> bool:
    """Whether a character goes on a word. An underscore does not: names of files are made of ids with it."""
    return char.isalnum() or unicodedata.category(char).startswith("M")
