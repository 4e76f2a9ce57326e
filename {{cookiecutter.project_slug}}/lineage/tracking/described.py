"""The model card in the description of a version: where it is found, and how people's own words beside it are kept."""

from __future__ import annotations

import hashlib
import re

LONGEST = 5000  # characters of a description that MLflow's databases keep
BEGINNING = "## Model card: "
# a card as it was written, in a text that may have more: what it says, and the sum over that
WRITTEN = re.compile(rf"{BEGINNING}.*?\n\*Card ([0-9a-f]{{16}})[^\n]*\*", re.DOTALL)


def signed(text: str) -> str:
    """The text of a card, with a last line by which a later look finds it and sees whether it was edited."""
    body = f"{text.rstrip()}\n\n"
    return f"{body}*Card {_sum(body)}: text above and below it is kept.*"


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def find_card(description: str | None) -> tuple[str, bool] | None:
    """The card in a description, and whether it is as it was written; None if there is none."""
    if not description or BEGINNING not in description:
        return None
    found = WRITTEN.search(description)
    if found is None:
        return description[description.index(BEGINNING) :], False
    body = found[0][: found.start(1) - found.start() - len("*Card ")]
    return found[0], _sum(body) == found[1]


def place_card(description: str | None, text: str) -> str | None:
    """The description with this card in the place of the one before, and all else kept.

    None where somebody has edited the card, or has put another description in its place: then it is theirs.
    """
    if description is None or not description.strip():
        return text
    found = find_card(description)
    if found is None or not found[1]:
        return None
    return description.replace(found[0], text)
