"""`rrule`: a recurrence as calendars write it (RFC 5545)."""

from __future__ import annotations

from datetime import timedelta
from typing import cast
from zoneinfo import ZoneInfo

from scheduling.kinds.base import Context, Kind
from scheduling.triggers.base import Trigger
from scheduling.triggers.cron import CronTrigger
from scheduling.triggers.rrule import RruleRule
from scheduling.triggers.rrule_text import moved_text, read_text, rule_of
from scheduling.triggers.rrule_words import rrule_words


def read(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('expected a text such as "FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9"')
    return read_text(_event(value)).text()


def _event(value: str) -> str:
    """The lines; of a whole VEVENT those of its recurrence."""
    if "BEGIN:" not in value.upper():
        return value
    from scheduling.vevents import lines_of  # icalendar: only where a file is read

    return lines_of(value)


def zone(value: object) -> str | None:
    """The zone that DTSTART names."""
    return read_text(_event(value)).zone if isinstance(value, str) else None


def trigger(rule: str, context: Context) -> CronTrigger:
    said = read_text(rule)
    shift = timedelta(seconds=context.shift_s)
    own = rule_of(said, context.zone, context.anchor_at, shift)
    return CronTrigger(own, context.zone, context.dst)


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    rule = cast(RruleRule, cast(CronTrigger, trigger).rule)
    return f"{rrule_words(rule)} ({zone.key})"


KIND = Kind(
    *("rrule", read, trigger, words),
    moved=moved_text,
    zone=zone,
    anchored=True,
)
