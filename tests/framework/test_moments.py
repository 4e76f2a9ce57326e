from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.records.moments import read_moment

THEN = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2025-06-01T12:00Z", "2025-06-01 14:00:00+02:00", "20250601T120000Z", "2025-06-01T12Z"]
)
def test_a_moment_of_the_calendar(text: str) -> None:
    assert read_moment(text) == THEN


def test_a_date_is_its_first_moment_without_a_zone() -> None:
    assert read_moment("2025-06-01") == read_moment("20250601") == datetime(2025, 6, 1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-W01-1",
        "2026W011",
        "2026-W01",
        "2026-W01-1T00:00Z",
        "2025-152",
        "2025-6-1",
        "01.06.2025",
        "2025-02-30",
        "2025-06-01x12:00",
        "2025-06-01T",
        "\uff12\uff10\uff12\uff15-06-01",
        " 2025-06-01",
        "2025-06-01\n",
        "0001-01-01T00:00+10:00",
        "9999-12-31T23:00-10:00",
        "",
    ],
    ids=ascii,
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # the reasons of the standard library differ between versions
        read_moment(text)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()))
def test_what_python_writes_is_read_back(moment: datetime) -> None:
    if moment.utcoffset() in (None, timedelta()) or (moment.utcoffset() or timedelta()).microseconds == 0:
        # in UTC: Python takes no hour that a zone has twice for equal to one of another zone
        assert read_moment(moment.isoformat()).astimezone(UTC) == moment.astimezone(UTC)
