"""The last look at a report before it leaves: what bears the id of a record or a subject is left out, and counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from ...base.errors import LineageError
from ...contract import Role
from ...evidence.ids import Search, search_in
from ..diff.sides import Side

ESCAPED = re.compile(r"\\(?=[^\w\s]|_)")


class Searched:
    """Looks for the ids of the dataset versions of all sides."""

    def __init__(self, *sides: Side) -> None:
        self._sides = sides

    @cached_property
    def _searches(self) -> list[Search]:
        datasets = {md5: side for side in self._sides if (md5 := side.recorded.made(Role.DATASET))}
        found = []
        for md5, side in datasets.items():
            try:
                found.append(search_in(side.evidence.objects, md5))
            except KeyError:
                raise LineageError(f"dataset version {md5} lists no manifest, so its ids are unknown") from None
        return found

    def require(self) -> None:
        """Raises ProjectError if the ids cannot be had: then nothing can be said to bear none."""
        _ = self._searches

    def bearing(self, texts: Sequence[Sequence[str]]) -> set[int]:
        """The places of those of which a text is an id, or has one in it."""
        places: dict[str, set[int]] = {}
        for place, each in enumerate(texts):
            for text in each:
                places.setdefault(text, set()).add(place)
        found = {text for search in self._searches for text in search(places)}
        return {place for text in found for place in places[text]}

    def lines(self, text: str) -> str:
        """A text of Markdown without the lines that bear an id; the last line says how many these were."""
        lines = text.split("\n")
        bearing = self.bearing([[line, as_read(line)] for line in lines])
        left = [line for place, line in enumerate(lines) if place not in bearing]
        return "\n".join([*left, left_out(len(bearing), "line"), ""]) if bearing else text


def as_read(line: str) -> str:
    """A line of Markdown as it is shown."""
    return ESCAPED.sub("", line).replace("\N{ZERO WIDTH SPACE}", "")


def left_out(count: int, what: str) -> str:
    """The sentence about what is not there."""
    are, it = (f"{what}s are", "them") if count > 1 else (f"{what} is", "it")
    return (
        f"{count} {are} left out: the id of a record or a subject is in {it}. Rename what bears it: a class, the value "
        "of a column, a file, a branch."
    )
