"""RRULE: the local times against dateutil, on drawn rules and on those of the RFC.

dateutil walks every rule from its beginning; ours does not, which is the point of
comparing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, note, settings
from hypothesis import strategies as st

from scheduling.kinds.base import Context
from scheduling.kinds.rrule import KIND
from scheduling.triggers.rrule import RruleRule
from scheduling.triggers.rrule_text import moved_text, read_text, rule_of
from scheduling.triggers.rrule_words import rrule_words

UTC_ZONE = ZoneInfo("UTC")
SECOND = timedelta(seconds=1)


def rule(text: str, zone: ZoneInfo = UTC_ZONE) -> RruleRule:
    return rule_of(read_text(text), zone, None, timedelta())


def times(text: str, count: int) -> list[datetime]:
    found: list[datetime] = []
    one, at = rule(text), datetime.fromisoformat("1970-01-01")
    while len(found) < count and (next_at := one.next_local(at)) is not None:
        found.append(next_at)
        at = next_at + SECOND
    return found


def days() -> st.SearchStrategy[str]:
    return st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])


def numbers(low: int, high: int, *, signed: bool = False) -> st.SearchStrategy[str]:
    one = st.integers(low, high)
    if signed:
        one = one | st.integers(-high, -low)
    return st.lists(one, min_size=1, max_size=4).map(lambda n: ",".join(map(str, n)))


@st.composite
def drawn_rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 5))}"]
    if draw(st.booleans()):
        parts.append(f"WKST={draw(days())}")
    may = {"BYMONTH": numbers(1, 12), "BYHOUR": numbers(0, 23)}
    may |= {"BYMINUTE": numbers(0, 59), "BYSECOND": numbers(0, 59)}
    if freq in ("MONTHLY", "YEARLY"):
        nth = st.integers(-5, 5).map(lambda n: str(n or ""))
        pairs = st.tuples(nth, days()).map("".join)
        may["BYDAY"] = st.lists(pairs, min_size=1, max_size=3).map(",".join)
        may["BYMONTHDAY"] = numbers(1, 31, signed=True)
    else:
        may["BYDAY"] = st.lists(days(), min_size=1, max_size=4).map(",".join)
    if freq == "DAILY":
        may["BYMONTHDAY"] = numbers(1, 31, signed=True)
    if freq == "YEARLY":
        may["BYYEARDAY"] = numbers(1, 366, signed=True)
    chosen = draw(st.lists(st.sampled_from(sorted(may)), max_size=3, unique=True))
    parts += [f"{name}={draw(may[name])}" for name in chosen]
    if chosen and draw(st.integers(0, 3)) == 0:
        parts.append(f"BYSETPOS={draw(numbers(1, 4, signed=True))}")
    if draw(st.integers(0, 2)) == 0:
        parts.append(f"COUNT={draw(st.integers(1, 60))}")
    start = draw(
        st.datetimes(
            datetime.fromisoformat("2015-01-01"), datetime.fromisoformat("2026-12-31")
        )
    )
    return f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{';'.join(parts)}"


@settings(deadline=None, max_examples=1500)
@given(drawn_rules())
def test_drawn_rules_fall_as_dateutil_says(text: str) -> None:
    try:
        own = rule(text)
    except ValueError:
        return  # refused with a sentence: what never comes, or the RFC forbids
    note(text)
    if own.next_local(own.said.start) is None:
        return  # dateutil would walk to the year 9999 and find nothing either
    far = own.said.start + timedelta(days=4 * 366)
    theirs = rrulestr(text, dtstart=own.said.start).xafter(
        own.said.start - SECOND, inc=True
    )
    expected = []
    begun = time.monotonic()
    for at in islice(theirs, 80):
        expected.append(at)
        if at > far or time.monotonic() - begun > 2:
            break
    at, found = own.said.start, []
    while len(found) < len(expected):
        next_at = own.next_local(at)
        assert next_at is not None, expected
        found.append(next_at)
        at = next_at + SECOND
    assert found == expected
    if expected:
        assert own.count_local(own.said.start, expected[-1]) == len(expected) - 1
        assert own.count_local(expected[0] + SECOND, expected[-1] + SECOND) == (
            len(expected) - 1
        )
