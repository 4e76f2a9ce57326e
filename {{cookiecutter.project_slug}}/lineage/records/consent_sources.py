"""Where a consent registry may be kept: a CSV or Parquet file, on disk or in S3, or a database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..base.errors import RegistryError
from . import s3
from .consent_query import allow_reading_only, check_query
from .table_files import Faults, TableRow, positions, read_rows

COLUMNS = ("subject_id", "consent_status", "effective_at")


def read_file(place: str, root: Path, faults: Faults) -> Iterator[TableRow]:
    """The rows of a CSV or Parquet file, by its ending. `root` is what a relative path is relative to."""
    address = s3.ADDRESS.fullmatch(place)
    data = s3.read(*address.groups()) if address else (root / place).read_bytes()
    yield from read_rows(data, place, COLUMNS, faults, moment="effective_at")


def read_database(address: str, named: str, query: str, root: Path, faults: Faults) -> Iterator[TableRow]:
    """Asks a database one SELECT, in a way in which it refuses to be changed if it is PostgreSQL or SQLite.

    Raises RegistryError for any other query, before the database is asked.
    """
    from sqlalchemy import NullPool, create_engine, make_url

    check_query(query)
    try:
        url = make_url(re.sub("^postgres(ql)?:", "postgresql+psycopg:", address))
    except Exception:  # what it says of a password that is not percent-encoded would show a part of it
        form = "dialect://user:password@host/database, with special characters percent-encoded"
        raise RegistryError(f"{named} holds no address of a database: {form}.") from None
    if url.get_backend_name() == "sqlite":
        file = (root / (url.database or "")).absolute().as_uri()
        creator = partial(sqlite3.connect, f"{file}?mode=ro", uri=True)  # else a missing file would be made
        engine = create_engine("sqlite://", creator=creator, poolclass=NullPool)
    else:
        engine = create_engine(url, poolclass=NullPool)
    options = {"postgresql_readonly": True, "stream_results": True, "yield_per": 1000, "no_parameters": True}
    with engine.connect().execution_options(**options) as connection:
        if url.get_backend_name() == "sqlite":
            database = connection.connection.driver_connection
            assert isinstance(database, sqlite3.Connection)
            allow_reading_only(database)
        result = connection.exec_driver_sql(query)  # as it is: neither : nor % means anything here
        if places := positions(list(result.keys()), COLUMNS, faults):
            for number, row in enumerate(result, start=1):
                yield (number, *(row[place] for place in places))
