"""From a Schedule row to the pure value it fires by. Nothing else reads its rule."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

import orjson

from agents.errors import Invalid
from scheduling.calendar_days import DaySets
from scheduling.kinds import KINDS
from scheduling.kinds.base import Context
from scheduling.models import Schedule
from scheduling.triggers.base import Trigger
from scheduling.triggers.calendars import CalendarTrigger, Choice
from scheduling.triggers.cron import Dst
from scheduling.triggers.solar import Place
from scheduling.triggers.timetable import Timetable
from scheduling.triggers.words import calendar_words


def timetable_of(schedule: Schedule) -> Timetable:
    """The schedule's instants. Kept between calls: parsing costs more than asking.

    Raises ValueError for a row whose rule cannot be read (nothing of ours writes one).
    """
    return _build(
        schedule.uid,
        schedule.kind,
        schedule.rule,
        schedule.anchor_at,
        schedule.shift_s,
        schedule.timezone,
        cast(Dst, schedule.dst),
        schedule.start_at,
        schedule.end_at,
        schedule.jitter_s,
        tuple(schedule.exdates),
        tuple(schedule.place.values()) if schedule.place else (),
        orjson.dumps(schedule.calendar).decode() if schedule.calendar else "",
        schedule.calendars_stamp,
    )


def checked_timetable(schedule: Schedule) -> Timetable:
    """The same for a schedule that is being made or changed.

    Raises Invalid, under its kind's key, where its rule needs what is not there.
    """
    try:
        return timetable_of(schedule)
    except ValueError as error:
        raise Invalid(
            f"{schedule.kind}: {error}", {schedule.kind: [str(error)]}
        ) from None


@lru_cache(maxsize=4096)
def _build(
    uid: str,
    kind: str,
    rule: str,
    anchor_at: datetime | None,
    shift_s: int,
    timezone: str,
    dst: Dst,
    start_at: datetime | None,
    end_at: datetime | None,
    jitter_s: int,
    exdates: tuple[str, ...],
    place: tuple[float, ...],
    calendar: str,
    calendars_stamp: int,
) -> Timetable:
    if kind not in KINDS:
        raise ValueError(f"a schedule of a kind that is not known: {kind!r}")
    zone = ZoneInfo(timezone)
    calendars = DaySets()
    at = Place(*place) if place else None
    context = Context(zone, anchor_at, shift_s, dst, at, calendars)
    trigger = KINDS[kind].trigger(rule, context)
    return Timetable(
        trigger=_on_days(trigger, zone, calendar, calendars) if calendar else trigger,
        zone=zone,
        start_at=start_at,
        end_at=end_at,
        without_instants=frozenset(
            datetime.fromisoformat(text) for text in exdates if "T" in text
        ),
        without_days=frozenset(
            date.fromisoformat(text) for text in exdates if "T" not in text
        ),
        jitter_s=jitter_s,
        salt=uid,
    )


def forget() -> None:
    """Build every timetable again on the next call."""
    _build.cache_clear()


def _on_days(
    trigger: Trigger, zone: ZoneInfo, text: str, calendars: DaySets
) -> CalendarTrigger:
    said = orjson.loads(text)
    try:
        on = {name: calendars[name] for name in said["on"]}
        without = {name: calendars[name] for name in said["except"]}
    except KeyError as unknown:
        raise ValueError(f"there is no calendar {unknown}") from None
    return CalendarTrigger(trigger, zone, Choice(on, without, said["shift"]))


def rule_of(timetable: Timetable) -> Trigger:
    """What the rule says, without what calendars make of it."""
    trigger = timetable.trigger
    return trigger.inner if isinstance(trigger, CalendarTrigger) else trigger


def human(schedule: Schedule) -> str:
    """The schedule's rule in words, with its zone: "At 09:00, Monday through Friday
    (UTC)". Raises ValueError like timetable_of."""
    timetable = timetable_of(schedule)
    words = KINDS[schedule.kind].words(rule_of(timetable), timetable.zone)
    if isinstance(timetable.trigger, CalendarTrigger):
        words += calendar_words(timetable.trigger.choice)
    return words
