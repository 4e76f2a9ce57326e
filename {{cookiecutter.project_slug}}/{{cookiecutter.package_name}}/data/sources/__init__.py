"""Where raw records come from. One module a source: add yours here, its settings to ../../settings/data.py, and a file
to conf/data/.

A source has one function, `fetch(settings, place)`, that writes into `place.folder`:

    records.parquet   the records, in the format of ../raw.py; only this file is read further on
    and what else belongs to them.

A source whose files others may change, unseen by DVC, has a second one: `look(settings, place)` returns what changes
whenever they do, as data for JSON. The stage `listing` keeps it, and fetch depends on that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..raw import RAW_SCHEMA, RECORDS


@dataclass(frozen=True)
class Place:
    """Where a source works."""

    folder: Path  # what is fetched goes here; it exists
    kept: Path  # from one execution to the next, half a download for example; may not exist, may be deleted at any time
    root: Path  # of the main project: what relative paths in settings are relative to
    listing: Path | None = None  # what `look` returned when the source was last looked at, as JSON


def fetch(settings: Any, place: Place) -> None:
    """Writes the raw records of the source that `settings.name` names into `place.folder`."""
    _function("fetch", settings.name)(settings, place)
    _require_records(settings.name, place.folder / RECORDS)


def look(settings: Any, place: Place) -> dict[str, Any]:
    """What changes whenever the files of the source that `settings.name` names do."""
    found: dict[str, Any] = _function("look", settings.name)(settings, place)
    return found


def _function(function: str, source: str) -> Callable[[Any, Place], Any]:
    """A function of a source. Raises DataError if there is no such module, or it has no such function."""
    module = f"{__name__}.{source}"
    try:
        found: Callable[[Any, Place], Any] | None = getattr(import_module(module), function, None)
    except ModuleNotFoundError as error:
        if error.name != module:  # a package that it imports
            raise
        found = None
    if found is None:
        raise DataError(
            f"there is no function {function}(settings, place) in data/sources/{source}.py. Write it there."
        )
    return found


def _require_records(source: str, file: Path) -> None:
    """Raises DataError if a source has not written what preprocess reads: a module may be somebody's first."""
    import pyarrow.parquet as pq

    if not file.is_file():
        raise DataError(f"data/sources/{source}.py has written no {RECORDS} into place.folder.")
    schema = pq.read_schema(file)
    for field in RAW_SCHEMA:
        there = schema.field(field.name).type if field.name in schema.names else "missing"
        if there != field.type:
            raise DataError(
                f"the column {field.name} of the {RECORDS} that data/sources/{source}.py has written must be "
                f"{field.type}, and is {there}. Write it with RAW_SCHEMA of data/raw.py."
            )
