"""cron, interval and RRULE in zones, against clocks that are simply watched.

The oracle walks UTC in quarters of an hour and asks zoneinfo what the clocks show; it
shares no code with the product. It knows the stated policy and nothing else: a rule of
fixed times fires once in a repeated hour (the first time) and at the first instant
after a gap; one that repeats within the day fires whenever the clocks show its time.
All zones and ten years are the nightly profile (HYPOTHESIS_PROFILE=nightly).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from scheduling.kinds import KINDS
from scheduling.kinds.base import Context
from scheduling.triggers.base import TICK, firings

STEP = timedelta(minutes=15)
EPOCH = datetime.fromisoformat("2010-01-01T00:00:00")
Shows = Callable[[datetime], bool]
NASTY = (
    *("Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Gaza"),
    *("Antarctica/Troll", "Asia/Kathmandu", "America/St_Johns", "Europe/Dublin"),
    *("America/Santiago", "Asia/Tehran", "Africa/Cairo", "Pacific/Chatham"),
)
IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
ZONES = sorted(available_timezones()) if IS_NIGHTLY else NASTY
YEARS = (2020, 2030) if IS_NIGHTLY else (2011, 2012)


def clock(hour: int, minute: int) -> Shows:
    return lambda at: (at.hour, at.minute) == (hour, minute)


def is_last_sunday(at: datetime) -> bool:
    return at.weekday() == 6 and (at + timedelta(days=7)).month != at.month


FIXED: dict[tuple[str, str], Shows] = {
    ("cron", "30 2 * * *"): clock(2, 30),
    ("cron", "0 0 * * *"): clock(0, 0),
    ("cron", "45 1 * * SUN"): lambda at: at.weekday() == 6 and clock(1, 45)(at),
    ("rrule", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30"): clock(2, 30),
    ("rrule", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=0,3;BYMINUTE=0"): lambda at: (
        at.weekday() == 6 and at.hour in (0, 3) and at.minute == 0
    ),
    ("rrule", "FREQ=MONTHLY;BYDAY=-1SU;BYHOUR=1;BYMINUTE=15"): lambda at: (
        is_last_sunday(at) and clock(1, 15)(at)
    ),
}
REPEATING: dict[tuple[str, str], Shows] = {
    ("cron", "30 */4 * * *"): lambda at: at.hour % 4 == 0 and at.minute == 30,
    ("rrule", "FREQ=HOURLY;INTERVAL=5"): lambda at: (
        at.minute == 0 and (at - EPOCH) // timedelta(hours=1) % 5 == 0
    ),
    ("rrule", "FREQ=MINUTELY;INTERVAL=105;BYDAY=SU"): lambda at: (
        at.weekday() == 6 and (at - EPOCH) // timedelta(minutes=1) % 105 == 0
    ),
}


def watched(zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """What the clocks show at every step."""
    steps = (end - begin) // STEP
    moments = (begin + number * STEP for number in range(steps))
    return [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]


def expected(shown: list[datetime], shows: Shows, *, repeats: bool) -> list[int]:
    """The steps at which a rule fires."""
    found = []
    latest = shown[0] - STEP
    for number, at in enumerate(shown):
        fires = shows(at) and (repeats or at > latest)
        missing = latest + STEP
        while not repeats and not fires and missing < at:  # the clocks left it out
            fires = shows(missing)
            missing += STEP
        if fires:
            found.append(number)
        latest = max(latest, at)
    return found


@pytest.mark.parametrize("name", ZONES)
def test_every_firing_is_one_that_the_clocks_show(name: str) -> None:
    zone = ZoneInfo(name)
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in YEARS)
    shown = watched(zone, first, last)
    anchor = EPOCH.replace(tzinfo=zone)
    for rules, repeats in ((FIXED, False), (REPEATING, True)):
        for (kind, text), shows in rules.items():
            trigger = KINDS[kind].trigger(KINDS[kind].read(text), Context(zone, anchor))
            steps = expected(shown, shows, repeats=repeats)
            wanted = [first + number * STEP for number in steps]
            found = firings(trigger, first - TICK, last - TICK, at_most=1_000_000)
            differences = sorted(set(found) ^ set(wanted))
            assert not differences, (name, kind, text, differences[:5])
            assert trigger.count(first - TICK, last - TICK) == len(wanted), (name, text)
    every = KINDS["interval"].trigger("21600", Context(zone, first))
    wanted = [first + number * STEP for number in range(0, len(shown), 24)]
    assert firings(every, first - TICK, last - TICK, at_most=10**6) == wanted
