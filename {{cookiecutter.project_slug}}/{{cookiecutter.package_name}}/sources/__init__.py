"""Where raw records come from. One module a source: add yours here, its settings to settings.py, and a file to
conf/data/.

A source has one function, `fetch(settings, context)`, that writes into `context.folder`:

    records.parquet   the records, in the format of lineage/records/raw.py; only this file is read further on. Further
                      columns that `context.columns` names, as texts; null where a record has no value
    and what else belongs to them.

A source whose files others may change, unseen by DVC, has a second one: `fingerprint(settings, context)` returns what
changes whenever they do, as data for JSON. The stage `listing` keeps it, and fetch depends on that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lineage.base.errors import DataError
from lineage.records.raw import RAW_SCHEMA, RECORDS


@dataclass(frozen=True)
class SourceContext:
    """Where a source works."""

    folder: Path  # what is fetched goes here; it exists
    cache_dir: (
        Path  # from one execution to the next, half a download for example; may not exist, may be deleted at any time
    )
    root: Path  # of the main project: what relative paths in settings are relative to
    columns: tuple[str, ...] = ()  # further columns that the records are to have
    listing: Path | None = None  # what `fingerprint` returned when the source was last looked at, as JSON


def fetch(settings: Any, context: SourceContext) -> None:
    """Writes the raw records of the source that `settings.name` names into `context.folder`."""
    _function("fetch", settings.name)(settings, context)
    _require_records(settings.name, context.folder / RECORDS, context.columns)


def no_columns(source: str, columns: Sequence[str], instead: str) -> DataError:
    """What a source says that cannot bring further columns."""
    return DataError(f"data.columns names {', '.join(columns)}, and {source} brings no such column. {instead}.")


def fingerprint(settings: Any, context: SourceContext) -> dict[str, Any]:
    """What changes whenever the files of the source that `settings.name` names do."""
    found: dict[str, Any] = _function("fingerprint", settings.name)(settings, context)
    return found


def _function(function: str, source: str) -> Callable[[Any, SourceContext], Any]:
    """A function of a source. Raises DataError if there is no such module, or it has no such function."""
    module = f"{__name__}.{source}"
    try:
        found: Callable[[Any, SourceContext], Any] | None = getattr(import_module(module), function, None)
    except ModuleNotFoundError as error:
        if error.name != module:  # a package that it imports
            raise
        found = None
    if found is None:
        raise DataError(f"there is no function {function}(settings, context) in sources/{source}.py. Write it there.")
    return found


def _require_records(source: str, file: Path, columns: Sequence[str]) -> None:
    """Raises DataError if a source has not written what preprocess reads: a module may be somebody's first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        raise DataError(f"sources/{source}.py has written no {RECORDS} into context.folder.")
    schema = pq.read_schema(file)
    for field in (*RAW_SCHEMA, *(pa.field(name, pa.string()) for name in columns)):
        there = schema.field(field.name).type if field.name in schema.names else "missing"
        if there != field.type and field.name in columns:
            raise DataError(
                f"data.columns names {field.name}: it must be text in the {RECORDS} that sources/{source}.py has "
                f"written, and is {there}. Take it out of data.columns, or write it there."
            )
        if there != field.type:
            raise DataError(
                f"the column {field.name} of the {RECORDS} that sources/{source}.py has written must be "
                f"{field.type}, and is {there}. Write it with RAW_SCHEMA of lineage/records/raw.py."
            )
