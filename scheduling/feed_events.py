"""The events of one schedule in a calendar feed: a series, or its instants one by one.

A series is one recurring event. An occurrence that was moved overrides its instant of
the series (RECURRENCE-ID); one that will not run any more is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from icalendar import Event, vDDDLists, vDDDTypes, vDuration, vRecur

from scheduling.models import Occurrence, Schedule
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK, instant_of, key_of
from scheduling.triggers.recurrence import UTC_ZONE
from scheduling.triggers.series import Series, is_mistaken, series_of
from scheduling.triggers.timetable import Timetable
from scheduling.triggers.zones import local

AHEAD = timedelta(days=90)  # instants that are named singly
MOST_SINGLE = 500  # of one schedule
DOMAIN = "kos-scheduler"
LONGEST_SUMMARY = 160
LEAST = timedelta(minutes=1)  # shorter cannot be seen on a calendar


@dataclass(frozen=True, slots=True)
class About:
    """What the events of one schedule share."""

    schedule: Schedule
    words: str
    link: str
    length: timedelta
    modified_at: datetime

    def event(self, uid: str, start: Any, length: timedelta | None = None) -> Event:
        """One event; `start` as DTSTART writes it."""
        summary = f"{self.schedule.agent.agent_id} · {self.words}"
        event = Event()
        event.add("uid", f"{uid}@{DOMAIN}")
        event.add("dtstamp", self.modified_at)
        event.add("last-modified", self.modified_at)
        event.add("created", self.schedule.created_at.replace(microsecond=0))
        event.add("sequence", self.schedule.version)
        event["DTSTART"] = start
        event["DURATION"] = vDuration(length or self.length)
        event.add("summary", summary[:LONGEST_SUMMARY])
        event.add("description", f"{self.words}\n{self.link}")
        event.add("url", self.link)
        event.add("status", "CONFIRMED")
        event.add("transp", "TRANSPARENT")  # agents do not make a person busy
        return event


@dataclass(frozen=True, slots=True)
class Told:
    events: list[Event]
    zones: frozenset[str] = frozenset()
    capped: bool = False


def told(
    about: About, rows: Sequence[Occurrence], *, base: datetime, now: datetime
) -> Told:
    """What stands in the feed of the instants after `base`."""
    schedule = about.schedule
    timetable = timetable_of(schedule)
    base = max(base, schedule.created_at)
    if schedule.cursor_at > now:
        base = max(base, schedule.cursor_at)
    if schedule.paused_at is not None:
        if schedule.paused_until is None:
            return Told([])
        base = max(base, schedule.paused_until)
    if schedule.max_runs is None:
        series = series_of(timetable, base)
        if series is not None and not _is_mistaken(timetable, series, rows):
            return _as_series(about, timetable, series, rows, base, now)
    return _singly(about, timetable, rows, base, now)


def in_zone(series: Series, shown: datetime) -> vDDDTypes:
    """A time of the series as its lines write it."""
    return vDDDTypes(shown.replace(tzinfo=UTC if is_utc(series) else series.zone))


def is_utc(series: Series) -> bool:
    return series.zone.key in ("UTC", UTC_ZONE.key)


def _as_series(
    about: About,
    timetable: Timetable,
    series: Series,
    rows: Sequence[Occurrence],
    base: datetime,
    now: datetime,
) -> Told:
    without, also = set(series.without), set(series.also)
    moved: list[Event] = []
    for row in rows:
        nominal = row.nominal_at
        if row.state == "run" and not row.moved and nominal and nominal <= now:
            continue  # it ran, or runs, where it stands
        named = (
            nominal is not None
            and nominal > base
            and timetable.next_after(nominal - TICK) == nominal
        )
        shown = _plainly(series, nominal) if named and nominal not in also else None
        also.discard(nominal)  # type: ignore[arg-type]
        if row.state != "planned":
            without |= {shown} - {None}  # type: ignore[arg-type]
            continue
        if shown is None:
            moved.append(_single(about, row.key, row.due_at, row.timeout_s))
            continue
        other = _single(about, "", row.due_at, row.timeout_s, uid=about.schedule.uid)
        other["RECURRENCE-ID"] = in_zone(series, shown)
        moved.append(other)
    event = about.event(about.schedule.uid, in_zone(series, series.start))
    event["RRULE"] = vRecur.from_ical(series.rule)
    if without:
        event["EXDATE"] = vDDDLists([in_zone(series, s).dt for s in sorted(without)])
    if also:
        event["RDATE"] = vDDDLists([at.astimezone(UTC) for at in sorted(also)])
    zones = frozenset() if is_utc(series) else frozenset((series.zone.key,))
    return Told([event, *moved], zones)


def _is_mistaken(
    timetable: Timetable, series: Series, rows: Sequence[Occurrence]
) -> bool:
    instants = [row.nominal_at for row in rows if row.nominal_at is not None]
    return any(is_mistaken(timetable, series.zone, at) for at in instants)


def _plainly(series: Series, nominal: datetime | None) -> datetime | None:
    """The local time by which the series names an instant; None: it cannot."""
    if nominal is None:
        return None
    shown = local(series.zone, nominal)
    read = shown.replace(tzinfo=series.zone, fold=0).astimezone(UTC)
    return shown if read == nominal and shown >= series.start else None


def _singly(
    about: About,
    timetable: Timetable,
    rows: Sequence[Occurrence],
    base: datetime,
    now: datetime,
) -> Told:
    schedule = about.schedule
    if schedule.max_runs is not None:
        base = max(base, now)
    taken = {row.key for row in rows if row.nominal_at and not _stands(row, now)}
    # Jitter delays: what is nominally past may still be to come.
    early = base - timedelta(seconds=timetable.jitter_s)
    nominals = timetable.between(
        max(early, schedule.cursor_at if early < now else early)
        if timetable.jitter_s
        else base,
        now + AHEAD,
        at_most=MOST_SINGLE + 1,
    )
    events = [
        (timetable.due(nominal), key_of(nominal), None)
        for nominal in nominals
        if key_of(nominal) not in taken and timetable.due(nominal) > base
    ]
    planned = [row for row in rows if row.state == "planned"]
    events += [(row.due_at, row.key, row.timeout_s) for row in planned]  # type: ignore[misc]
    events.sort(key=lambda one: one[0])
    most = MOST_SINGLE
    if schedule.max_runs is not None:
        most = min(most, max(0, schedule.max_runs - schedule.fired_count))
    capped = len(events) > MOST_SINGLE and most == MOST_SINGLE
    made = [_single(about, key, due, timeout) for due, key, timeout in events[:most]]
    return Told(made, capped=capped)


def _stands(row: Occurrence, now: datetime) -> bool:
    """It ran, or runs, where the rule put it."""
    past = row.nominal_at is not None and row.nominal_at <= now
    return row.state == "run" and not row.moved and past


def _single(
    about: About, key: str, due: datetime, timeout_s: float | None, uid: str = ""
) -> Event:
    at = vDDDTypes(due.astimezone(UTC).replace(microsecond=0))
    length = timedelta(seconds=round(timeout_s)) if timeout_s else None
    return about.event(uid or f"{about.schedule.uid}-{key}", at, length)


def rows_of(
    schedules: Iterable[Schedule], base: datetime, *, at_most: int
) -> dict[int, list[Occurrence]]:
    """What became of instants after `base`, and what was moved, by schedule."""
    known = Occurrence.objects.filter(schedule__in=[s.pk for s in schedules])
    planned = known.filter(state="planned")
    decided = known.filter(nominal_at__gt=base).exclude(state="planned")
    decided = decided.exclude(state="run", moved=False, nominal_at__lte=base)
    found: dict[int, list[Occurrence]] = {}
    for some in (planned, decided):
        for row in some.order_by("due_at")[:at_most]:
            row = row if row.nominal_at else _with_nominal(row)
            found.setdefault(row.schedule_id, []).append(row)
    return found


def _with_nominal(row: Occurrence) -> Occurrence:
    row.nominal_at = instant_of(row.key)
    return row
