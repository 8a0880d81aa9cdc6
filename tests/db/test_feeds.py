"""Calendar feeds: what a calendar reads is what the schedules will do."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import recurring_ical_events
import time_machine
from icalendar import Calendar

from agents.errors import Invalid
from agents.models import Event
from scheduling import feed_calendar, feeds, previews, schedules
from scheduling.feed_events import AHEAD
from scheduling.feed_models import Feed
from scheduling.models import Occurrence, Schedule
from tests.db.feed_draws import Draw
from tests.db.schedule_fixtures import NOON, PERSON, again, at, plan

pytestmark = pytest.mark.django_db
DRAWN = int(os.environ.get("KOS_TEST_FEEDS", "200"))
MOST_SEEN = 120  # instants compared, of one schedule


def feed_of(schedule: Schedule) -> Feed:
    return Feed(
        name="a feed",
        owner=PERSON,
        scope="schedules",
        names=[schedule.uid],
        created_at=NOON,
    )


def text_of(schedule: Schedule, now: datetime = NOON, past: Any = None) -> str:
    site = "https://kos.example"
    found = feed_calendar.text_of(feed_of(schedule), site=site, now=now, past=past)
    return found.body.decode()


def read(text: str, after: datetime, until: datetime) -> list[datetime]:
    """The instants in (after, until] as calendars read them."""
    events = recurring_ical_events.of(Calendar.from_ical(text))
    found = (e["DTSTART"].dt for e in events.between(after, until + timedelta(hours=1)))
    instants = sorted(one.astimezone(UTC) for one in found)
    return [one for one in instants if after < one <= until]


def events_in(text: str) -> list[Any]:
    return list(Calendar.from_ical(text).walk("VEVENT"))


# the same instants


def compare(schedule: Schedule, now: datetime) -> tuple[str, int]:
    """How the schedule is told, and how many instants were the same."""
    told = previews.preview(schedule, after=now, count=MOST_SEEN).firings
    until = now + AHEAD - timedelta(hours=1)
    if len(told) == MOST_SEEN:
        until = min(until, told[-1])
    expected = [one.replace(microsecond=0) for one in told if one <= until]
    text = text_of(schedule, now)
    assert read(text, now, until) == expected, f"{schedule} at {now}\n{text}"
    how = "series" if "RRULE" in text else "single" if "VEVENT" in text else "empty"
    return how, len(expected)


def test_a_feed_read_by_another_library_has_the_instants_of_the_preview(
    make_agent: Callable[..., Any], report: Callable[[str], None]
) -> None:
    """200 drawn schedules; KOS_TEST_FEEDS=1000 draws as many."""
    agent = make_agent("reporter")
    ways: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    compared = 0
    for seed in range(DRAWN):
        shape, now = Draw(seed).schedule()
        try:
            schedule = schedules.create(agent, shape, actor=PERSON, now=now)
        except Invalid:
            ways["refused"] += 1  # it would never fire: nothing to compare
            continue
        how, number = compare(schedule, now)
        ways[how] += 1
        kinds[f"{schedule.kind}:{how}"] += 1
        compared += number
    report(f"feeds: {DRAWN} drawn, {dict(ways)}, {compared} instants equal")
    report(f"feeds by kind: {dict(sorted(kinds.items()))}")
    assert ways["series"] > DRAWN / 3
    assert ways["refused"] < DRAWN / 5
