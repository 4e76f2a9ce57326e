"""Text of others, made fit for a terminal: it moves no cursor, hides nothing, turns nothing round."""

from __future__ import annotations

import re

# controls (C0, DEL, C1), soft hyphen, Arabic letter mark, zero width space, marks of direction, separators of lines,
# embeddings, overrides, isolates, byte order mark, interlinear annotation, language tags; halves of surrogate pairs
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
    "\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""`text` with every control character written out: \xNN, \uNNNN or \UNNNNNNNN."""
    return _UNSAFE.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def some(items: list[str], most: int = 3) -> str:
    """The first few of `items`, and how many more there are."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
