"""The text of a calendar feed: RFC 5545, for Thunderbird, Google, Apple and others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from icalendar import Calendar, Event, Timezone, vDuration, vText

from agents.models import Event as Happened
from scheduling import durations, feed_events
from scheduling.feed_events import AHEAD, DOMAIN, LEAST, About
from scheduling.feed_models import Feed
from scheduling.models import Run, Schedule
from scheduling.run_state import FINAL
from scheduling.timetables import human
from scheduling.triggers.base import TICK

MOST_SCHEDULES = 500
MOST_EVENTS = 4_000
MOST_ROWS = 5_000
MOST_PAST = 1_000
READ_AGAIN = timedelta(minutes=15)  # what we ask calendars to do


@dataclass(frozen=True, slots=True)
class Text:
    body: bytes
    modified_at: datetime


def text_of(feed: Feed, *, site: str, now: datetime, past: timedelta | None) -> Text:
    """The whole calendar. `site`: where links lead, without a slash at the end.

    The same while nothing changed, so that calendars may ask whether it did.
    """
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    base = now if past else today - TICK
    rows = list(schedules_of(feed)[: MOST_SCHEDULES + 1])
    shown = [s for s in rows[:MOST_SCHEDULES] if s.agent.retired_at is None]
    expected = durations.expected(now)
    known = feed_events.rows_of(shown, base, at_most=MOST_ROWS)
    events: list[Event] = []
    zones: set[str] = set()
    capped = len(rows) > MOST_SCHEDULES
    changed = [feed.created_at, today]
    for schedule in shown:
        about = _about(schedule, expected.get(schedule.agent_id), site)
        changed.append(about.modified_at)
        told = feed_events.told(about, known.get(schedule.pk, []), base=base, now=now)
        room = MOST_EVENTS - len(events)
        capped = capped or told.capped or len(told.events) > room
        events += told.events[:room]
        zones |= told.zones
    if past is not None:
        events += _past(shown, now - past, site)
    body = _calendar(feed, events, zones, capped, today.date())
    return Text(body, max(changed).replace(microsecond=0))


def schedules_of(feed: Feed) -> QuerySet[Schedule]:
    """Those of its scope that go on, in order."""
    live = Schedule.objects.filter(ended_at=None, enabled=True).select_related("agent")
    if feed.scope == "agent":
        live = live.filter(agent__agent_id=feed.names[0])
    elif feed.scope == "schedules":
        live = live.filter(uid__in=feed.names)
    elif feed.scope == "tag":
        live = live.filter(agent__in=_tagged(feed.names[0]))
    return live.exclude(kind__in=("condition", "event")).order_by("agent_id", "pk")


def _tagged(tag: str) -> list[int]:
    from agents.models import Agent

    rows = Agent.objects.filter(retired_at=None).values_list("pk", "tags")
    return [pk for pk, tags in rows if tag in tags]


def _about(schedule: Schedule, expected_s: float | None, site: str) -> About:
    seconds = schedule.timeout_s if expected_s is None else expected_s
    length = timedelta(seconds=round(seconds or durations.UNKNOWN_S))
    return About(
        schedule,
        words=human(schedule),
        link=f"{site}/schedule?sel=agent:{quote(schedule.agent.agent_id)}",
        length=max(length, LEAST),
        modified_at=_modified_at(schedule.uid, schedule.version, schedule.created_at),
    )


@lru_cache(maxsize=4096)
def _modified_at(uid: str, version: int, created_at: datetime) -> datetime:
    """When this version of the schedule came to be; the journal knows."""
    if version > 1:
        of_it = Happened.objects.filter(subject=f"schedule:{uid}")
        last = of_it.filter(kind__startswith="schedule.").order_by("-id").first()
        created_at = last.at if last is not None else created_at
    return created_at.astimezone(UTC).replace(microsecond=0)


def _past(schedules: list[Schedule], since: datetime, site: str) -> list[Event]:
    """What ran, as it was."""
    ran = Run.objects.filter(
        schedule__in=[s.pk for s in schedules],
        state__in=sorted(FINAL),
        started_at__gte=since,
        ended_at__isnull=False,
    ).select_related("schedule", "agent")
    return [_ended(run, site) for run in ran.order_by("-started_at")[:MOST_PAST]]


def _ended(run: Run, site: str) -> Event:
    assert run.started_at is not None
    assert run.ended_at is not None
    began, ended = (
        at.astimezone(UTC).replace(microsecond=0)
        for at in (run.started_at, run.ended_at)
    )
    event = Event()
    state = run.state.replace("_", " ")
    words = human(run.schedule) if run.schedule else ""
    event.add("uid", f"run-{run.uid}@{DOMAIN}")
    event.add("dtstamp", ended)
    event.add("last-modified", ended)
    event.add("dtstart", began)
    event["DURATION"] = vDuration(max(ended - began, timedelta(seconds=1)))
    event.add("summary", f"{run.agent.agent_id} · {state}")
    reason = f"\n{run.reason}" if run.reason else ""
    event.add("description", f"{words}{reason}\n{site}/runs/{run.uid}")
    event.add("url", f"{site}/runs/{run.uid}")
    event.add("transp", "TRANSPARENT")
    return event


def _calendar(
    feed: Feed, events: Iterable[Event], zones: set[str], capped: bool, today: date
) -> bytes:
    said = "When agents run. Times that no rule can say are shown for "
    said += f"{AHEAD.days} days."
    if capped:
        said += " There is more than is shown (capped): subscribe to less."
    calendar = Calendar()
    calendar.add("prodid", "-//kOS//Agent Deployment Scheduler//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar["X-WR-CALNAME"] = vText(feed.name)
    calendar["X-WR-CALDESC"] = vText(said)
    calendar.add("name", feed.name)
    again = vDuration(READ_AGAIN)
    again.params["VALUE"] = "DURATION"
    calendar["REFRESH-INTERVAL"] = again
    calendar["X-PUBLISHED-TTL"] = vText("PT15M")
    for zone in sorted(zones):
        calendar.add_component(_zone(zone, today.year))
    for event in events:
        calendar.add_component(event)
    return bytes(calendar.to_ical())


@lru_cache(maxsize=128)
def _zone(name: str, year: int) -> Timezone:
    """How the zone's clocks go, from a year before to ten years after."""
    first, last = date(year - 1, 1, 1), date(year + 10, 1, 1)
    return Timezone.from_tzinfo(ZoneInfo(name), name, first, last)
