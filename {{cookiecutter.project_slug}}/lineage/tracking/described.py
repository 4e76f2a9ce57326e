"""The model card in the description of a version: where it is found, and how people's own words beside it are kept."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

LONGEST = 5000  # characters of a description that MLflow's databases keep
BEGINNING = "## Model card: "
# a card as it was written, in a text that may have more: what it says, and the sum over that
WRITTEN = re.compile(rf"{BEGINNING}.*?\n\*Card ([0-9a-f]{{16}})[^\n]*\*", re.DOTALL)
# what people take for one: its title, however that is written as a title, or its last line
LIKE_ONE = re.compile(
    r"^[\s>]*(\#{1,6}|<h[1-6][^>]*>|\*\*|__)[\s*_]*model\s+card\b"
    r"|^[\s>]*model\s+card\b[^\n]*\n[\s>]*(=|-)+\s*$"
    r"|\*Card\s+[0-9a-f]{16}",
    re.IGNORECASE | re.MULTILINE,
)


def signed(text: str) -> str:
    """The text of a card, with a last line by which a later look finds it and sees whether it was edited."""
    body = f"{text.rstrip()}\n\n"
    return f"{body}*Card {_sum(body)}: text above and below it is kept.*"


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Found:
    """A card in a description."""

    text: str
    is_as_written: bool
    is_alone: bool  # nothing above or below it looks like another card


def find_card(description: str | None) -> Found | None:
    """The card in a description; None if there is none."""
    if not description or BEGINNING not in description:
        return None
    found = WRITTEN.search(description)
    if found is None:
        return Found(description[description.index(BEGINNING) :], is_as_written=False, is_alone=True)
    body = found[0][: found.start(1) - found.start() - len("*Card ")]
    around = (description[: found.start()], description[found.end() :])
    return Found(found[0], _sum(body) == found[1], is_alone=not any(map(LIKE_ONE.search, around)))


def place_card(description: str | None, text: str) -> str | None:
    """The description with this card in the place of the one before, and all else kept.

    None where somebody has edited the card, has put another beside it, or another description in its place: then it is
    theirs.
    """
    if description is None or not description.strip():
        return text
    found = find_card(description)
    if found is None or not (found.is_as_written and found.is_alone):
        return None
    return description.replace(found.text, text)
