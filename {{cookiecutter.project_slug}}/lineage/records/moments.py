"""Moments as people and other programs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# ISO 8601 has weeks, too: 2026-W01-1 is a day of 2025, which few people would see
_CALENDAR = re.compile(
    r"(\d{4}-\d\d-\d\d|\d{8})([T ]\d\d(:?\d\d(:?\d\d([.,]\d{1,9})?)?)?(Z|[+-]\d\d(:?\d\d(:?\d\d)?)?)?)?", re.ASCII
)


def read_moment(text: str) -> datetime:
    """A date (its first moment) or a date and time of the calendar, in ISO 8601, with a zone or without.

    Raises ValueError for anything else, also for weeks, and for what lies outside of the years that UTC has here.
    """
    if not _CALENDAR.fullmatch(text):
        raise ValueError(f"{text[:50]!r} is no date (2025-06-01) and no date and time of the calendar in ISO 8601")
    moment = datetime.fromisoformat(text)
    try:
        moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text[:50]!r} lies before the year 1 or after 9999 in UTC") from None
    return moment
