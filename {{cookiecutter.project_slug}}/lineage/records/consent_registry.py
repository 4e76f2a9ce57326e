"""The consent registry: a table of subjects, the status of their consent, and since when that holds.

It is a CSV or Parquet file, on disk or in S3, or the answer of a database. It is taken as a whole or not at all: one
row that cannot be right puts all the others in doubt. Errors name rows by number, for a subject's id is personal, and a
database by the variable that holds its address, for that holds a password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

from ..base.errors import RegistryError
from ..base.translated import translate_errors
from ..settings.privacy import Registry
from .consent_sources import read_database, read_file
from .ids import fault_of_id, normalize_nfc
from .moments import read_moment
from .s3 import ADDRESS
from .table_files import Faults, TableRow

STATUSES = ("active", "revoked")


@dataclass(frozen=True)
class Entry:
    """One subject. `effective_at` is in UTC."""

    subject_id: str
    status: str
    effective_at: datetime


def read_registry(settings: Registry, root: Path, now: datetime | None = None) -> list[Entry]:
    """All entries, sorted by subject_id. Relative paths are relative to `root`.

    Raises RegistryError if the registry cannot be read, has no rows, or has any fault: then no row of it counts.
    """
    place = settings.path or os.environ.get(settings.variable or "", "").strip()
    named = f"the environment variable {settings.variable}" if settings.variable else "privacy.registry.path"
    if not place:
        raise RegistryError(f"{named} is not set. It must say where the consent registry is.")
    kind = place.lower()
    is_s3 = kind.startswith("s3://")
    faults = Faults.of(place)
    if settings.variable and "://" in place and not is_s3:
        if not settings.query:
            raise RegistryError(f"{named} names a database, so privacy.registry.query must hold the SQL to ask it.")
        where, hidden = f"in the database that ${settings.variable} names", _secrets(place)
        check = f"Check ${settings.variable}, privacy.registry.query, and whether the database is up"
        rows = read_database(place, named, settings.query, root, faults)
    elif settings.query:
        raise RegistryError(f"privacy.registry.query is for a database, but {named} names none.")
    elif not kind.endswith((".csv", ".parquet")) or (is_s3 and not ADDRESS.fullmatch(place)):
        raise RegistryError(f"{named} must name a file or s3://bucket/key, and end with .csv or .parquet.")
    else:
        where, hidden = place, _secrets("")
        check = "Check the address, the region and the credentials" if is_s3 else "Check the path and the permissions"
        rows = read_file(place, root, faults)
    what, more = f"the consent registry {where} could not be read", f". {check}."
    with translate_errors(
        RegistryError, what, partial(_reason, hidden=hidden), passed_on=RegistryError, more=more, is_secret=True
    ):
        entries = _entries(rows, faults, now)
    if faults.rows:
        raise RegistryError(f"the consent registry {where} is refused: {faults}. Correct it; until then no row counts.")
    return sorted(entries, key=lambda entry: entry.subject_id)


def _entries(rows: Iterable[TableRow], faults: Faults, now: datetime | None) -> list[Entry]:
    first: dict[str, int] = {}
    entries: list[Entry] = []
    for number, written, status, effective in rows:
        subject = normalize_nfc(written)  # as in the records: else a revocation could miss them
        if fault := fault_of_id(subject, "subject_id"):
            faults.add(fault, number)
        elif subject in first:
            faults.add("a subject_id for the second time", f"{number} (as in {first[subject]})")
        else:
            first[subject] = number
        if status not in STATUSES:
            faults.add(f"a consent_status other than {' and '.join(STATUSES)}", number)
        moment = _moment(effective, now or datetime.now(UTC))  # a row may be younger than the call
        if isinstance(moment, str):
            faults.add(moment, number)
        elif not faults.rows:
            entries.append(Entry(subject, status, moment))
    if not entries and not faults.rows:
        faults.add("it has no rows")
    return entries


def _moment(value: Any, now: datetime) -> datetime | str:
    """The moment in UTC, or what is wrong with it."""
    if value is None or value == "":
        return "no effective_at"
    try:
        moment = read_moment(value) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            raise ValueError
        if moment.utcoffset() is None:
            return "an effective_at without a zone (Z or +02:00)"
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return "an effective_at that is no ISO 8601 date and time"
    # else what may be used would change with the clock alone, and no stage would know that its result is outdated
    return "an effective_at in the future" if moment > now else moment


def _secrets(address: str) -> re.Pattern[str]:
    """Finds user, password and options of a database's address in a text, as they are written and as they are meant."""
    rest = address.partition("://")[2]
    # also at @ and /: of a password that is not percent-encoded, drivers take the end for a host or a name
    parts = {*re.split("[:@/]", rest.rpartition("@")[0]), *re.split("[?&=]", rest.partition("?")[2])}
    found = sorted({*parts, *map(unquote, parts), *map(unquote_plus, parts)} - {""}, key=len, reverse=True)
    # a short one is one only where it is a word: "a" would make any text unreadable
    words = (re.escape(part) if len(part) > 3 else rf"(?<!\w){re.escape(part)}(?!\w)" for part in found)
    return re.compile("|".join(words) or "(?!)")


def _reason(error: BaseException, hidden: re.Pattern[str]) -> str:
    """The first line of what went wrong, without secrets and without a value of the registry."""
    origin = getattr(error, "orig", None) or error
    reason = getattr(origin, "strerror", None) or str(origin).strip() or type(origin).__name__
    if type(error).__name__ == "DataError":  # SQLAlchemy's; the text holds the value, which may be a subject's id
        reason = f"a value cannot be converted ({type(origin).__name__})"
    # what follows "with text" is a value, too, in SQLite's words
    return hidden.sub("***", reason).splitlines()[0].partition(" with text ")[0][:300].rstrip(". ")
