"""What this program writes to a terminal: colours, yes; whatever else a terminal would obey, as an escape."""

from __future__ import annotations

import re
import sys
from typing import Any, TextIO

from .printable import printable

COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
PLAIN = re.compile(r"[\n\t\x20-\x7e]*")


def block(text: str) -> str:
    """Several lines of others' text, made fit to be printed: lines and tabs stay."""
    if PLAIN.fullmatch(text):
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


class Guarded:
    """A stream that writes control characters, marks of direction and the like as escapes.

    Names, ids, messages of commits and tags of MLflow come from others, and are printed in many places: here none is
    forgotten. Colours pass, which are this program's own; of others, they do no harm.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes `text` as `block` shows it; in JSON that is the same text, written otherwise."""
        if not PLAIN.fullmatch(text):
            parts = COLOUR.split(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))
            text = "".join(part if COLOUR.fullmatch(part) else block(part) for part in parts)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_output() -> None:
    """Guards standard output, and lets both streams write what their encoding does not know as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    if not isinstance(sys.stdout, Guarded):
        sys.stdout = Guarded(sys.stdout)  # it has every attribute of the stream
