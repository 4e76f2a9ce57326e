"""What this program writes to a terminal: colours, yes; whatever else a terminal would obey, as an escape."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, NoReturn, TextIO

from .errors import ProjectError
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

    def flush(self) -> None:
        """As that of the stream."""
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_answers: Guarded | None = None  # standard output itself, where all else is kept out of it


def guard_output(*, answers_alone: bool = False) -> None:
    """Guards standard output, and lets both streams write what their encoding does not know as an escape.

    With `answers_alone` only `print_answer` writes to standard output. What else is printed there, by this program, a
    library or a program that it starts, goes to standard error: a reader of JSON takes one document and nothing else.
    """
    global _answers
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    if not isinstance(sys.stdout, Guarded):
        sys.stdout = Guarded(sys.stdout)  # it has every attribute of the stream
    if answers_alone and _answers is None:
        sys.stdout.flush()
        kept = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="backslashreplace")
        os.dup2(2, 1)
        _answers = Guarded(kept)


def print_answer(text: str) -> None:
    """Prints the JSON that a program asked for."""
    print(text, file=_answers or sys.stdout, flush=True)


def exit_inconclusive(error: ProjectError) -> NoReturn:
    """Ends the command with status 2, where 1 would be a refusal: what could not be looked at says nothing."""
    said = block(str(error) + (f"\n-> {error.fix}" if error.fix else ""))
    print(f"lineage: INCONCLUSIVE: {said}", file=sys.stderr)
    sys.exit(2)
