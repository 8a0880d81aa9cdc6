"""Windows of time against a minute-by-minute oracle that knows nothing of stretches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers.cron import cron_trigger
from scheduling.triggers.timetable import Timetable
from scheduling.triggers.windows import (
    Once,
    Recurring,
    Rule,
    free_after,
    is_barred,
    stretches,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LENGTH = 20 * 60  # minutes looked at by the oracle
LOOKED_AT = frozenset(range(LENGTH))
ZONE = ZoneInfo("Europe/Berlin")


def every(cron: str, length_m: int) -> Recurring:
    timetable = Timetable(cron_trigger(cron, ZONE), ZONE)
    return Recurring(timetable, length_m * MINUTE)


def once(first_m: int, length_m: int) -> Once:
    start = NOON + first_m * MINUTE
    return Once(start, start + length_m * MINUTE)


CRONS = ("0 * * * *", "*/40 * * * *", "30 14 * * *", "0 22 * * MON", "15,45 */5 * * *")
RECURRING = st.builds(every, st.sampled_from(CRONS), st.integers(1, 45))
RULES = st.one_of(
    RECURRING, st.builds(once, st.integers(-300, 1200), st.integers(1, 400))
)
SETS = st.lists(RULES, max_size=3)
STARTS = st.integers(-200, 400).map(lambda m: NOON + m * MINUTE)


def minutes_of(rule: Rule, start: datetime) -> set[int]:
    """By definition, of the minutes that are looked at: those a firing reaches into."""
    if isinstance(rule, Once):
        first, length = (
            round((rule.from_at - start) / MINUTE),
            rule.to_at - rule.from_at,
        )
        return set(range(first, first + round(length / MINUTE))) & LOOKED_AT
    assert isinstance(rule, Recurring)
    length = round(rule.length / MINUTE)
    end = start + LENGTH * MINUTE
    firings = rule.timetable.between(start - rule.length, end, at_most=10_000)
    firsts = [round((at - start) / MINUTE) for at in firings]
    return {m for first in firsts for m in range(first, first + length)} & LOOKED_AT


def barred_minutes(closed: list[Rule], allowed: list[Rule], at: datetime) -> set[int]:
    shut = set().union(*(minutes_of(rule, at) for rule in closed))
    if allowed:
        shut |= LOOKED_AT - set().union(*(minutes_of(rule, at) for rule in allowed))
    return shut


@settings(deadline=None)
@given(closed=SETS, allowed=SETS, at=STARTS)
def test_an_instant_is_barred_as_the_definition_says(
    closed: list[Rule], allowed: list[Rule], at: datetime
) -> None:
    barred = barred_minutes(closed, allowed, at)
    for minute in range(0, LENGTH, 61):
        moment = at + minute * MINUTE
        assert is_barred(closed, allowed, moment) == (minute in barred)


@settings(deadline=None)
@given(closed=SETS, allowed=SETS, at=STARTS)
def test_the_next_free_instant_is_free_and_none_before_it_is(
    closed: list[Rule], allowed: list[Rule], at: datetime
) -> None:
    free = free_after(closed, allowed, at)
    open_minutes = LOOKED_AT - barred_minutes(closed, allowed, at)
    if open_minutes:
        assert free == at + min(open_minutes) * MINUTE
    else:
        assert free is None or free >= at + LENGTH * MINUTE


@settings(deadline=None)
@given(rule=RULES, at=STARTS)
def test_stretches_are_apart_in_order_and_cover_what_the_window_covers(
    rule: Rule, at: datetime
) -> None:
    found = stretches(rule, at, at + LENGTH * MINUTE, at_most=5_000)
    for before, after in pairwise(found):
        assert before.end is not None
        assert before.end < after.start
    covered = minutes_of(rule, at)
    for minute in range(0, LENGTH, 7):
        held = any(s.holds(at + minute * MINUTE) for s in found)
        assert held == (minute in covered)


def test_a_window_that_follows_itself_without_a_break_never_ends() -> None:
    always = every("0 * * * *", 60)
    stretch = always.covering(NOON)
    assert stretch is not None
    assert stretch.end is None
    assert free_after([always], [], NOON) is None


def test_nights_alone_leave_the_day_out() -> None:
    nights = every("0 22 * * *", 8 * 60)  # 21:00 to 05:00 UTC in November
    assert free_after([], [nights], NOON) == NOON + timedelta(hours=9)
    release = Once(NOON + timedelta(hours=9), NOON + timedelta(hours=11))
    assert free_after([release], [nights], NOON) == NOON + timedelta(hours=11)


def test_the_end_of_a_window_is_free_and_its_start_is_not() -> None:
    window = once(0, 60)
    assert is_barred([window], [], NOON)
    assert not is_barred([window], [], NOON + 60 * MINUTE)
