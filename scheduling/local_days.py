"""The days of a time zone, and which of them a stored instant belongs to.

A day may have 23, 24.5 or 25 hours. The database counts by local day in one grouped
query: a zone's offset changes a few times a year at most, so that the offset of an
instant is a short CASE.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from scheduling.triggers.zones import changes_from, offset_at

EPOCH = date(1970, 1, 1)
SECONDS = {
    "sqlite": "CAST(strftime('%%s', {0}) AS integer)",
    "postgresql": "CAST(floor(extract(epoch from {0})) AS bigint)",
}


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins: its first instant, even where 00:00 is left out."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    return wall.astimezone(UTC)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def days_between(
    start: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[tuple[date, datetime, datetime]]:
    """Each local day that [start, end) touches, and what of it lies within."""
    day = day_of(start, zone)
    low = start
    while low < end:
        high = min(midnight(day + timedelta(days=1), zone), end)
        if high > low:
            yield day, low, high
        day, low = day + timedelta(days=1), max(high, low)


def day_sql(instant: str, zone: ZoneInfo, start: datetime, end: datetime) -> str:
    """The number of days from 1970 to the local day of an instant in [start, end)."""
    seconds = SECONDS[connection.vendor].format(instant)
    whens, offset = "", offset_at(zone, start)
    for change in changes_from(zone, start):
        if change.at >= end:
            break
        until = int(change.at.timestamp())
        whens += f"WHEN {seconds} < {until} THEN {int(offset.total_seconds())} "
        offset = change.after
    last = str(int(offset.total_seconds()))
    shift = f"CASE {whens}ELSE {last} END" if whens else last
    return f"(({seconds} + ({shift})) / 86400)"


def numbered(day: date) -> int:
    return (day - EPOCH).days


def day_numbered(number: int) -> date:
    return EPOCH + timedelta(days=number)
