"""Schedules on the days clocks change, against an oracle that shares no code with us.

The oracle knows nothing of offsets' changes: it walks every real minute (or second) of
the days around one, asks zoneinfo what the clocks show, and matches the fields by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers.base import firings
from scheduling.triggers.cron import cron_trigger
from scheduling.triggers.interval import IntervalTrigger
from scheduling.triggers.run_at import RunAtTrigger

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
CHANGES = [
    ("Europe/Berlin", date(2027, 3, 28)),
    ("Europe/Berlin", date(2027, 10, 31)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/New_York", date(2027, 11, 7)),
    ("Australia/Lord_Howe", date(2027, 4, 4)),  # half an hour
    ("Australia/Lord_Howe", date(2027, 10, 3)),
]
Shown = datetime  # what clocks show: naive
Matches = Callable[[Shown], bool]


@cache
def walk(zone: str, day: date, step_s: int) -> list[tuple[datetime, Shown]]:
    """Every real instant of the three days around the change, and what clocks show."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    steps = range(0, 3 * 86_400, step_s)
    real = [start + timedelta(seconds=n) for n in steps]
    return [(at, at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for at in real]


def expected(
    zone: str, day: date, matches: Matches, rule: str, step_s: int = 60
) -> list[datetime]:
    """The instants a rule of local times names; `rule`: real, once, both or skip."""
    walked = walk(zone, day, step_s)
    times = Counter(shown for _, shown in walked)
    found = set[datetime]()
    earlier = set[Shown]()
    last: Shown | None = None
    for at, shown in walked:
        jumped = last is not None and shown > last + timedelta(seconds=step_s)
        if jumped and last is not None and rule in ("once", "both"):
            left_out = last + timedelta(seconds=step_s)
            while left_out < shown:  # somebody waits for a time that never comes
                if matches(left_out):
                    found.add(at)
                left_out += timedelta(seconds=step_s)
        again = shown in earlier
        allowed = {
            "real": True,
            "once": not again,
            "both": True,
            "skip": times[shown] == 1,
        }
        if matches(shown) and allowed[rule]:
            found.add(at)
        earlier.add(shown)
        last = shown
    return sorted(found)


def ours(zone: str, day: date, expression: str, dst: str = "") -> list[datetime]:
    trigger = cron_trigger(expression, ZoneInfo(zone), dst=dst)  # type: ignore[arg-type]
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    until = start + 3 * DAY - timedelta(seconds=1)
    found = firings(trigger, start - timedelta(seconds=1), until, at_most=300_000)
    assert trigger.count(start - timedelta(seconds=1), until) == len(found)
    return found


changes = st.sampled_from(CHANGES)
minutes = st.sets(st.integers(0, 59), min_size=1, max_size=4)
early_hours = st.sets(st.integers(0, 5), min_size=1, max_size=4)
overrides = st.sampled_from(["once", "both", "skip"])


def listed(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


@settings(max_examples=30, deadline=None)
@given(changes, minutes, early_hours)
def test_fixed_local_times_run_once_and_after_a_gap(
    change: tuple[str, date], m: set[int], h: set[int]
) -> None:
    wanted = expected(*change, lambda t: t.minute in m and t.hour in h, "once")
    assert ours(*change, f"{listed(m)} {listed(h)} * * *") == wanted


@settings(max_examples=30, deadline=None)
@given(changes, st.sampled_from([1, 5, 7, 15, 20, 30, 45]))
def test_every_so_many_minutes_runs_in_every_real_hour(
    change: tuple[str, date], step: int
) -> None:
    wanted = expected(*change, lambda t: t.minute % step == 0, "real")
    assert ours(*change, f"*/{step} * * * *") == wanted


@settings(max_examples=20, deadline=None)
@given(changes, minutes)
def test_a_minute_of_every_hour_runs_in_every_real_hour(
    change: tuple[str, date], m: set[int]
) -> None:
    wanted = expected(*change, lambda t: t.minute in m, "real")
    assert ours(*change, f"{listed(m)} * * * *") == wanted


@settings(max_examples=20, deadline=None)
@given(changes, st.sampled_from([2, 3, 4, 6]), st.integers(0, 59))
def test_every_so_many_hours_runs_in_every_real_hour_that_fits(
    change: tuple[str, date], step: int, minute: int
) -> None:
    wanted = expected(
        *change, lambda t: t.hour % step == 0 and t.minute == minute, "real"
    )
    assert ours(*change, f"{minute} */{step} * * *") == wanted


@settings(max_examples=30, deadline=None)
@given(changes, minutes, early_hours, overrides)
def test_the_override_holds_for_fixed_times(
    change: tuple[str, date], m: set[int], h: set[int], dst: str
) -> None:
    wanted = expected(*change, lambda t: t.minute in m and t.hour in h, dst)
    assert ours(*change, f"{listed(m)} {listed(h)} * * *", dst) == wanted


@settings(max_examples=4, deadline=None)
@given(changes, st.sampled_from([10, 20, 30]))
def test_seconds_run_in_every_real_minute(change: tuple[str, date], step: int) -> None:
    wanted = expected(*change, lambda t: t.second % step == 0, "real", step_s=10)
    assert ours(*change, f"*/{step} * * * * *") == wanted


@settings(max_examples=20, deadline=None)
@given(changes, st.sets(st.integers(0, 6), min_size=1, max_size=3), early_hours)
def test_days_of_the_week_are_those_the_clocks_show(
    change: tuple[str, date], days: set[int], h: set[int]
) -> None:
    def matches(shown: Shown) -> bool:
        return (
            (shown.weekday() + 1) % 7 in days and shown.hour in h and shown.minute == 30
        )

    wanted = expected(*change, matches, "once")
    assert ours(*change, f"30 {listed(h)} * * {listed(days)}") == wanted


@settings(max_examples=30, deadline=None)
@given(changes, st.integers(30, 5_000), st.integers(0, 86_399))
def test_an_interval_is_exact_whatever_the_clocks_do(
    change: tuple[str, date], every_s: int, offset_s: int
) -> None:
    _, day = change
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    anchor = start - timedelta(seconds=offset_s)
    trigger = IntervalTrigger(anchor, timedelta(seconds=every_s))
    wanted = [
        anchor + timedelta(seconds=n)
        for n in range(0, offset_s + 86_401, every_s)
        if start < anchor + timedelta(seconds=n) <= start + DAY
    ]
    assert firings(trigger, start, start + DAY, at_most=100_000) == wanted
    assert trigger.count(start, start + DAY) == len(wanted)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_a_one_off_is_its_instant(zone: str, day: date) -> None:
    shown = datetime(day.year, day.month, day.day, 2, 30, tzinfo=ZoneInfo(zone))
    at = shown.astimezone(UTC)
    trigger = RunAtTrigger(at)
    assert firings(trigger, at - DAY, at + DAY, at_most=9) == [at]


def test_a_day_that_a_country_skipped_runs_at_its_end() -> None:
    trigger = cron_trigger("0 9 * * *", ZoneInfo("Pacific/Apia"))
    start = datetime(2011, 12, 29, tzinfo=UTC)
    found = firings(trigger, start, start + 3 * DAY, at_most=9)
    assert [at.isoformat() for at in found] == [
        "2011-12-29T19:00:00+00:00",  # Thursday 29, 09:00
        "2011-12-30T10:00:00+00:00",  # Friday 30 never was: Saturday 31, 00:00
        "2011-12-30T19:00:00+00:00",  # Saturday 31, 09:00
        "2011-12-31T19:00:00+00:00",
    ]


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_every_second_is_every_real_second(zone: str, day: date) -> None:
    trigger = cron_trigger("* * * * * *", ZoneInfo(zone))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    assert trigger.count(start, start + 3 * DAY) == 3 * 86_400
    noon = start + DAY + DAY / 2
    assert trigger.next_after(noon) == noon + timedelta(seconds=1)
