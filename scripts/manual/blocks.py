"""The command blocks of pages: what a reader types, and what the page says comes out.

A block with the word `console` is a session: a line after `$ ` is a command, the lines after it are its output, `…` in
place of lines or of the rest of one. A comment of HTML straight above a block says more:

    <!-- file: PATH -->      the block is the content of that file
    <!-- status: 1 -->       the command of the block ends with this status
    <!-- not run: REASON --> the block is not run by the tests
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^```(\w*)")
NOTE = re.compile(r"^<!-- (file|status|not run): (.+) -->$")
# the pages of each line go on where the one before ended
TUTORIALS = (
    ("first-ten-minutes", "a-patient-opts-out", "six-months-later"),
    ("your-own-photographs",),
    ("a-team-of-three",),
    ("to-sagemaker",),
)
LONG = ("a-team-of-three", "to-sagemaker")  # their tests take minutes, and run once a week
# how blocks of commands begin on pages that are no sessions
PROGRAMS = (
    *("$", "aws", "cd", "cookiecutter", "cp", "cruft", "curl", "dvc", "export", "git", "lineage", "make", "mlflow"),
    *("openssl", "pip", "python", "rm", "uv", "wandb", "ID=$(sed"),
)
COMMENT = re.compile(r"(^|\s+)#\s.*$")


@dataclass(frozen=True)
class Command:
    """What is typed, and the lines that come out, as the page has them."""

    text: str
    output: tuple[str, ...]


@dataclass
class Block:
    """A fenced block of a page, with the number of its first line."""

    line: int
    kind: str
    lines: list[str]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def commands(self) -> list[Command]:
        """The commands of a session with what comes out; of another block, each line, or part of one after `&&`."""
        if self.kind != "console":
            return [Command(part, ()) for line in self.typed for part in line.split(" && ")]
        found: list[Command] = []
        for line in self.lines:
            if line.startswith("$ "):
                found.append(Command(line[2:], ()))
            elif found:
                found[-1] = Command(found[-1].text, (*found[-1].output, line))
        return found

    @property
    def typed(self) -> list[str]:
        """What a reader types, without comments: of a session its commands, of another block each line."""
        if any(line.startswith("$ ") for line in self.lines):
            lines = [line[2:] for line in self.lines if line.startswith("$ ")]
        else:
            lines = re.sub(r"\s*\\\n\s*", " ", "\n".join(self.lines)).split("\n")
        return [text for line in lines if (text := COMMENT.sub("", line).strip())]

    @property
    def is_commands(self) -> bool:
        """Whether a reader would type it into a terminal."""
        words = [line.split()[0] for line in self.lines if line.strip() and not line.startswith("# ")]
        return self.kind == "console" or (self.kind in ("", "sh", "bash") and bool(words) and words[0] in PROGRAMS)


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page, in their order."""
    lines, block, notes = page.read_text(encoding="utf-8").splitlines(), None, dict[str, str]()
    for number, line in enumerate(lines, 1):
        if block is None and (note := NOTE.match(line)):
            notes[note[1]] = note[2]
        elif block is None and (fence := FENCE.match(line)):
            block = Block(number + 1, fence[1], [], notes)
        elif block is not None and line.startswith("```"):
            yield block
            block, notes = None, {}
        elif block is not None:
            block.lines.append(line)
        elif line.strip():
            notes = {}


# what differs from run to run, and from machine to machine: hashes, ids, dates, times, scores
VARIES = re.compile(r"[0-9a-f]{7,64}(\.dir)?…?|\d{4}-\d\d-\d\d(?:[T ][\d:.+Z-]+)?|\d+\.\d+|\bp?\d{2}:\d{2}\b")


def differences(said: tuple[str, ...], output: str) -> list[str]:
    """The lines that a page says and that did not come out, in this order; none if it is right.

    Hashes, dates, times and scores are not compared. A line that ends with `…` stands for all that begin like it; one
    that is nothing else, for any lines.
    """
    there, missing = [plain(line) for line in output.splitlines()], []
    for line in said:
        wanted = plain(line.rstrip())
        if wanted in ("", "…"):
            continue
        is_start = wanted.endswith("…")
        place = next((i for i, one in enumerate(there) if _same(one, wanted, is_start=is_start)), None)
        if place is None:
            missing.append(line)
        else:
            there = there[place + 1 :]
    return missing


def _same(one: str, wanted: str, *, is_start: bool) -> bool:
    return one.startswith(wanted.removesuffix("…").rstrip()) if is_start else one == wanted


def plain(line: str) -> str:
    """A line without what varies, and with one blank where there are several."""
    return " ".join(VARIES.sub("#", line).split())
