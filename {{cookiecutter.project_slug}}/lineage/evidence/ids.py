"""The last look at what is to leave: no text in it holds an id of a record or of a subject.

Ids and texts are compared without case. An id counts where no letter or digit stands beside it: as a word, in a name
such as `of_PAT-00023.png`, and with blanks or slashes in it.
"""

from __future__ import annotations

import html
import re
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..base.errors import LineageError
from ..dvc.objects import Objects
from ..proof.rows import batches
from ..records.layout import MANIFEST

# which of these texts are an id or hold one
Search = Callable[[Collection[str]], Collection[str]]

SHORTEST = 4  # characters: shorter ids are numbers and words that stand in every document for other reasons
NUMBER = 8  # digits, at most, of a number that is looked for as a word alone: in names are years and counts
MOST_PARTS = 16
WORD = re.compile(r"[\w-]+")
PART = re.compile(r"[^\W_]+")  # of a word
SIMPLE = re.compile(rf"[^\W_]+(?:[_-]+[^\W_]+){{,{MOST_PARTS - 1}}}")  # an id that is a part of a word, or several
JOINED = ".+@#"  # what makes a name of words beside it


def search_in(objects: Objects, md5: str) -> Search:
    """Searches the manifest of a dataset version, some MB at a time: there may be millions of ids.

    Raises LineageError, at once, if the manifest cannot be had.
    """
    name = objects.listing(md5)[MANIFEST]
    with tempfile.TemporaryDirectory() as scratch:
        objects.verified(name, Path(scratch))

    def ids() -> Iterator[Iterable[str]]:
        with tempfile.TemporaryDirectory() as scratch:
            for batch in batches(objects.verified(name, Path(scratch)), ["record_id", "subject_id"]):
                yield from (column.unique().to_pylist() for column in batch.columns)

    return search_among(ids)


def search_among(ids: Callable[[], Iterable[Iterable[str]]]) -> Search:
    """Searches for ids that come some at a time, once for each search."""

    def search(texts: Collection[str]) -> set[str]:
        index = _Index(texts)
        return {text for some in ids() for text in index.holding(some)}

    return search


def require_no_ids(document: Any, search: Search) -> None:
    """Raises LineageError, which says where, if a text of a document is an id or holds one.

    Ids of fewer than four characters are not looked for.
    """
    places: dict[str, str] = {}
    for where, text in _texts(document, ""):
        places.setdefault(text, where)
    if found := search(places):
        where = min(places[text] for text in found)
        raise LineageError(
            f"{where or 'the text'} of what was to leave holds the id of a record or a subject, so it was not written. "
            "Rename what bears that name: a class, a path of dvc.yaml, a setting."
        )


class _Index:
    """Texts, so that each of millions of ids is looked up in them at the cost of a hash."""

    def __init__(self, texts: Collection[str]) -> None:
        self._texts = {text: {_plain(each) for each in (text, html.unescape(text), unquote(text))} for text in texts}
        self._words = defaultdict[str, set[str]](set)
        self._parts = set[str]()
        for text, forms in self._texts.items():
            for form in forms:
                self._parts.update(PART.findall(form))
                for word in _words(form):
                    self._words[word].add(text)

    def holding(self, ids: Iterable[str]) -> Iterator[str]:
        """The texts that hold one of the ids."""
        for plain in map(_plain, filter(None, ids)):
            if plain in self._words:
                yield from self._words[plain]
            elif not SIMPLE.fullmatch(plain) and self._parts.issuperset(PART.findall(plain)):
                yield from self._around(plain)

    def _around(self, plain: str) -> Iterator[str]:
        """As `holding`, for an id that is no word: with a blank or a slash in it, for example."""
        if len(plain) >= SHORTEST:
            alone = re.compile(rf"(?<![^\W_]){re.escape(plain)}(?![^\W_])")
            yield from (text for text, forms in self._texts.items() if any(map(alone.search, forms)))


def _plain(text: str) -> str:
    """Without case, and with one blank where there is any number of them: a text may be broken into lines."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _words(text: str) -> Iterator[str]:
    """Every word of a text that may be an id, and every part of one that stands between two marks."""
    for found in WORD.finditer(text):
        word = found[0]
        parts = [part.span() for part in PART.finditer(word)]
        for place, (start, _) in enumerate(parts):
            for _, end in parts[place : place + MOST_PARTS]:
                part = word[start:end]
                if len(part) < SHORTEST:
                    continue
                if len(part) > NUMBER or not part.isdigit() or (part == word and _stands_alone(text, found)):
                    yield part


def _stands_alone(text: str, found: re.Match[str]) -> bool:
    """Whether a number is a word, or the name of a file: neither a part of another number nor of a name."""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 2]
    return not (before and before in JOINED) and not (
        after[:1] in (*"+@#",) or (after[:1] == "." and after[1:].isdigit())
    )


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
