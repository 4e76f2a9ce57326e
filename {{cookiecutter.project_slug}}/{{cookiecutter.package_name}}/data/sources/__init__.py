"""Where raw records come from. One module a source: add yours here, its settings to ../../settings/data.py, and a file
to conf/data/.

A source has one function, `fetch(settings, place)`, that writes into `place.folder`:

    records.parquet   the records, in the format of ../raw.py; only this file is read further on
    and what else belongs to them.

A source whose files others may change, unseen by DVC, has a second one: `look(settings, place)` returns what changes
whenever they do, as data for JSON. The stage `listing` keeps it, and fetch depends on that.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where a source works."""

    folder: Path  # what is fetched goes here; it exists
    kept: Path  # from one execution to the next, half a download for example; may not exist, may be deleted at any time
    root: Path  # of the main project: what relative paths in settings are relative to
    listing: Path | None = None  # what `look` returned when the source was last looked at, as JSON


def fetch(settings: Any, place: Place) -> None:
    """Writes the raw records of the source that `settings.name` names into `place.folder`."""
    import_module(f".{settings.name}", __name__).fetch(settings, place)


def look(settings: Any, place: Place) -> dict[str, Any]:
    """What changes whenever the files of the source that `settings.name` names do."""
    found: dict[str, Any] = import_module(f".{settings.name}", __name__).look(settings, place)
    return found
