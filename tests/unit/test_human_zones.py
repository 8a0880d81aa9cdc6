"""Human rules in all zones over ten years, against an oracle that shares no code.

The oracle asks zoneinfo alone: it takes every day of the calendar, matches it by hand,
and looks for the real instants that show the time; none: the first one after it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from scheduling.triggers.base import firings
from scheduling.triggers.human_parser import parse
from scheduling.triggers.human_trigger import human_trigger

START, YEARS = date(2024, 1, 1), 10
ONE, MINUTE = timedelta(days=1), timedelta(minutes=1)
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SAMPLE = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"),
    *("America/Santiago", "Africa/Casablanca", "Asia/Gaza", "Pacific/Chatham"),
    *("America/Havana", "Asia/Beirut", "Asia/Kathmandu", "Antarctica/Troll"),
)
ZONES = sorted(available_timezones() - {"localtime", "Factory", "posixrules"})
RULES: list[tuple[str, Callable[[date], bool], tuple[tuple[int, int], ...]]] = [
    (
        "every day at 0:00, 0:30, 1:30, 2:00, 2:30 and 3:15",
        lambda d: True,
        ((0, 0), (0, 30), (1, 30), (2, 0), (2, 30), (3, 15)),
    ),
    ("every sunday at 2:45", lambda d: d.weekday() == 6, ((2, 45),)),
    (
        "last sunday of the month at 1:00",
        lambda d: d.weekday() == 6 and (d + 7 * ONE).month != d.month,
        ((1, 0),),
    ),
    ("on the 1st and 15th at 23:30", lambda d: d.day in (1, 15), ((23, 30),)),
]


def first_showing(zone: ZoneInfo, shown: datetime) -> datetime:
    """The first real instant that shows the time; none: the first after the gap."""
    around = shown.replace(tzinfo=UTC)
    offsets = {
        (around + n * ONE).astimezone(zone).utcoffset() or timedelta() for n in (-1, 1)
    }
    real = [
        at
        for at in sorted(around - offset for offset in offsets)
        if at.astimezone(zone).replace(tzinfo=None) == shown
    ]
    if real:
        return real[0]
    at = around - max(offsets) - timedelta(hours=3)
    while at.astimezone(zone).replace(tzinfo=None) < shown:
        at += MINUTE
    return at


def expected(
    zone: ZoneInfo, takes: Callable[[date], bool], times: tuple[tuple[int, int], ...]
) -> list[datetime]:
    found = set[datetime]()
    for n in range(YEARS * 365):
        day = START + n * ONE
        if takes(day):
            shown = (datetime.combine(day, time(h, m)) for h, m in times)
            found.update(first_showing(zone, each) for each in shown)
    return sorted(found)


@pytest.mark.parametrize("key", ZONES if NIGHTLY else SAMPLE)
def test_fixed_times_in_a_zone_over_ten_years(key: str) -> None:
    zone = ZoneInfo(key)
    start = datetime(2023, 12, 30, tzinfo=UTC)
    for text, takes, times in RULES:
        wanted = expected(zone, takes, times)
        trigger = human_trigger(parse(text), zone)
        from_first = max(start, wanted[0] - timedelta(seconds=1))
        found = firings(trigger, from_first, wanted[-1], at_most=100_000)
        assert found == wanted, f"{text} in {key}"
        assert trigger.count(from_first, wanted[-1]) == len(wanted)
