"""All pages of what MLflow answers: it gives a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def all_of(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    """Every item of all pages. `ask` gets the token of a page, None for the first."""
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return
