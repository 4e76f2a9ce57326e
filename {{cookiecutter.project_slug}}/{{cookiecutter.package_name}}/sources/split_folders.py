"""Names that say train, val or test: folders of a tree, or values of a table."""

from __future__ import annotations

import re
from collections.abc import Sequence

UNCLEAR = "unclear"  # val to some, test to others
MEANINGS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
    UNCLEAR: ("eval", "evaluation", "holdout"),
}
WORDS = {word: split for split, words in MEANINGS.items() for word in words}
FORM = re.compile(rf"({'|'.join(sorted(WORDS, reverse=True))})[ _-]?(?:set|data|images|split)?[ _-]?[0-9]*")


def split_named(name: str) -> str | None:
    """The split that a name means, such as Validation, test_set or train2017; None if it means none."""
    found = FORM.fullmatch(name.casefold())
    return WORDS[found[1]] if found else None


def level_of_splits(paths: Sequence[Sequence[str]]) -> int | None:
    """How many folders lie above those that are called train, val and test; None if no such folders are there.

    One name alone may be a class, such as trains, but not where it is all there is.
    """
    for level in range(max(map(len, paths), default=1) - 1):
        meant = {split_named(parts[level]) for parts in paths if len(parts) > level + 1}
        if len(meant - {None}) > 1 or (level == 0 and None not in meant):
            return level
    return None
