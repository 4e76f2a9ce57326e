"""The last look at an export before it leaves: no text in it is an id of a record or of a subject."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from ..base.errors import LineageError
from ..dvc.objects import Objects
from ..proof.rows import batches
from ..records.layout import MANIFEST

# which of these words are ids
Search = Callable[[Collection[str]], Collection[str]]

SHORTEST = 4  # characters: shorter ids are numbers and words that stand in every document for other reasons
APART = re.compile(r"[\s/\\,;:()\[\]{}\"'`|<>=]+")
PART = re.compile(r"[^-_.+@#]+")  # of a word: an id may stand in a name, as in `of_PAT-00023.png`
MOST_PARTS = 16


def search_in(objects: Objects, md5: str) -> Search:
    """Searches the manifest of a dataset version, some MB at a time: there may be millions of ids.

    Raises LineageError, at once, if the manifest cannot be had.
    """
    name = objects.listing(md5)[MANIFEST]
    with tempfile.TemporaryDirectory() as scratch:
        objects.verified(name, Path(scratch))

    def search(words: Collection[str]) -> set[str]:
        wanted, found = set(words), set[str]()
        with tempfile.TemporaryDirectory() as scratch:
            for batch in batches(objects.verified(name, Path(scratch)), ["record_id", "subject_id"]):
                for column in batch.columns:
                    found |= wanted.intersection(column.unique().to_pylist())
        return found

    return search


def require_no_ids(document: Any, search: Search) -> None:
    """Raises LineageError, which says where, if a text of a document is an id or has one as a word.

    Ids of fewer than four characters are not looked for.
    """
    places: dict[str, str] = {}
    for where, text in _texts(document, ""):
        words = {text, *APART.split(text)}
        words |= {word.rpartition(".")[0] for word in words if "." in word}
        words |= {part for word in words for part in _parts(word)}
        places |= {word: where for word in words if len(word) >= SHORTEST and word not in places}
    if found := search(places):
        where = min(places[word] for word in found)
        raise LineageError(
            f"{where or 'the text'} of what was to leave holds the id of a record or a subject, so it was not written. "
            "Rename what bears that name: a class, a path of dvc.yaml, a setting."
        )


def _parts(word: str) -> Iterator[str]:
    """What stands between two marks of a word, except short numbers: years and counts are in many names."""
    parts = [part.span() for part in PART.finditer(word)][:MOST_PARTS]
    for place, (start, _) in enumerate(parts):
        for _, end in parts[place:]:
            part = word[start:end]
            if len(part) > SHORTEST * 2 or not part.isdigit():
                yield part


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text of a document, keys too, with its place."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"a key of {where or 'the document'}", str(key)
            yield from _texts(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{where}[{number}]")
