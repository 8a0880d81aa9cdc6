"""The rule of a trigger as an RRULE, where one can say it. Pure.

What comes back says the same local times (or, in UTC, the same instants) as the
trigger, but for changes of the clocks, excluded days and limits: `series` sees to
those, and checks what is said here against the trigger itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from scheduling.triggers.base import Trigger
from scheduling.triggers.cron import CronTrigger
from scheduling.triggers.cron_rule import CronRule
from scheduling.triggers.human import (
    At,
    Clock,
    Days,
    EveryDay,
    EveryDays,
    EveryWeeks,
    InMonths,
    Nth,
    OnDates,
    OnWeekdays,
    Rule,
)
from scheduling.triggers.human_trigger import HumanTrigger
from scheduling.triggers.human_words import WEEKDAYS
from scheduling.triggers.interval import IntervalTrigger
from scheduling.triggers.rrule import RruleRule
from scheduling.triggers.rrule_parts import DAYS, Parts
from scheduling.triggers.zones import changes_in, offset_at

UTC_ZONE = ZoneInfo("UTC")
UNITS = (("DAILY", 86_400), ("HOURLY", 3_600), ("MINUTELY", 60), ("SECONDLY", 1))
ALL_DAYS, ALL_MONTHS = set(range(1, 32)), set(range(1, 13))
YEARS_SEEN = 2  # of a zone's changes, for rules that are said in UTC
MOST_TIMES = 300  # of one day, named singly


@dataclass(frozen=True, slots=True)
class Pattern:
    """Parts that need no DTSTART to be filled in, counted in a zone."""

    parts: Parts
    zone: ZoneInfo
    last: datetime | None = None  # the last local time (naive)


def pattern_of(trigger: Trigger, base: datetime) -> Pattern | None:
    """None: no RRULE says it, or we do not know which."""
    if isinstance(trigger, IntervalTrigger):
        return _of_interval(trigger)
    if isinstance(trigger, HumanTrigger):
        return _of_human(trigger)
    if not isinstance(trigger, CronTrigger):
        return None
    if isinstance(trigger.rule, CronRule):
        return _of_cron(trigger, trigger.rule, base)
    if isinstance(trigger.rule, RruleRule):
        return _of_rrule(trigger.rule, trigger.zone)
    return None


def text_of(parts: Parts, start: datetime, until: datetime | None) -> str:
    """As a line writes it; `until` aware, included. A single time of the day is left to
    DTSTART (`start`, naive): not every calendar reads BYHOUR."""
    if not parts.within_the_day and parts.seconds == (start.second,):
        parts = replace(parts, seconds=())
        if (parts.hours, parts.minutes) == ((start.hour,), (start.minute,)):
            parts = replace(parts, hours=(), minutes=())
    days = [f"{nth or ''}{DAYS[day]}" for nth, day in parts.days]
    said: list[tuple[str, Iterable[object]]] = [
        ("FREQ", (parts.freq,)),
        ("INTERVAL", (parts.interval,) if parts.interval > 1 else ()),
        ("UNTIL", (f"{until:%Y%m%dT%H%M%SZ}",) if until else ()),
        ("BYMONTH", parts.months),
        ("BYWEEKNO", parts.weeks),
        ("BYYEARDAY", parts.year_days),
        ("BYMONTHDAY", parts.month_days),
        ("BYDAY", days),
        ("BYHOUR", parts.hours),
        ("BYMINUTE", parts.minutes),
        ("BYSECOND", parts.seconds),
        ("BYSETPOS", parts.positions),
        ("WKST", (DAYS[parts.wkst],) if parts.wkst else ()),
    ]
    pairs = [(name, ",".join(map(str, values))) for name, values in said]
    return ";".join(f"{name}={value}" for name, value in pairs if value)


def _of_interval(trigger: IntervalTrigger) -> Pattern | None:
    seconds = trigger.every.total_seconds()
    if seconds != int(seconds) or trigger.anchor_at.microsecond:
        return None
    for freq, length in UNITS:
        number, rest = divmod(int(seconds), length)
        if not rest:
            return Pattern(Parts(freq, number), UTC_ZONE)
    return None


def _of_rrule(rule: RruleRule, zone: ZoneInfo) -> Pattern | None:
    if rule.said.shift or (rule.parts.within_the_day and zone.key != "UTC"):
        return None
    return Pattern(rule.parts, zone, rule.last)


# cron


def _of_cron(trigger: CronTrigger, rule: CronRule, base: datetime) -> Pattern | None:
    if rule.shift or rule.per_day > MOST_TIMES * 60:
        return None
    days = _cron_days(rule.sets)
    if days is None:
        return None
    freq, said = days
    if (freq, said) == ("DAILY", {}) and len(rule.hours) == 24:
        every_hour = _every_hour(trigger, rule, base)
        if every_hour is not None:
            return every_hour
    if rule.per_day > MOST_TIMES:
        return None
    times = {"hours": rule.hours, "minutes": rule.minutes, "seconds": rule.seconds}
    said |= {name: tuple(values) for name, values in times.items()}
    return Pattern(Parts(freq, **said), trigger.zone)  # type: ignore[arg-type]


def _cron_days(sets: CronSim) -> tuple[str, dict[str, tuple[object, ...]]] | None:
    """How often, and the parts that choose days."""
    said: dict[str, tuple[object, ...]] = {}
    if sets.months != ALL_MONTHS:
        said["months"] = tuple(sorted(sets.months))
    weekdays = {d % 7 for d in sets.weekdays if isinstance(d, int)}
    counted: list[tuple[int, int]] = [d for d in sets.weekdays if isinstance(d, tuple)]
    any_day = sets.days >= ALL_DAYS
    any_weekday = len(weekdays) == 7
    if not sets.day_and and (any_day or any_weekday):
        any_day = any_weekday = True  # one of them is enough, and it always holds
    elif not sets.day_and or CronSim.LAST_WEEKDAY in sets.days:
        return None
    if not any_day:
        last = {CronSim.LAST: -1}
        said["month_days"] = tuple(sorted(last.get(d, d) for d in sets.days))
    if not any_weekday:
        if counted and (weekdays or not any_day):
            return None
        nths = [(-1 if n == CronSim.LAST else n, (d - 1) % 7) for d, n in counted]
        plain = [(0, (d - 1) % 7) for d in weekdays]
        said["days"] = tuple(sorted(nths + plain, key=lambda one: (one[1], one[0])))  # type: ignore[index]
    if counted and not any_weekday:
        return "MONTHLY", said
    if any_day and any_weekday:
        return "DAILY", said
    both = not any_day and not any_weekday
    return ("DAILY" if both else "WEEKLY" if any_day else "MONTHLY"), said


def _every_hour(trigger: CronTrigger, rule: CronRule, base: datetime) -> Pattern | None:
    """The same minutes of every real hour are said best in UTC, where no clock changes.

    That holds in a zone whose clocks only change by whole hours.
    """
    if trigger.repeated != "both" or trigger.fires_after_a_gap:
        return None
    offset = offset_at(trigger.zone, base) % timedelta(hours=1)
    changes = [
        change
        for n in range(YEARS_SEEN)
        for change in changes_in(trigger.zone, base.year + n)
    ]
    if any((c.after - c.before) % timedelta(hours=1) for c in changes):
        return None
    ahead, odd_s = divmod(int(offset.total_seconds()), 60)
    if odd_s:
        return None
    seconds = tuple(rule.seconds)
    if len(rule.minutes) == 60:
        if len(seconds) == 60:
            return Pattern(Parts("SECONDLY"), UTC_ZONE)
        return Pattern(Parts("MINUTELY", seconds=seconds), UTC_ZONE)
    minutes = tuple(sorted((minute - ahead) % 60 for minute in rule.minutes))
    return Pattern(Parts("HOURLY", minutes=minutes, seconds=seconds), UTC_ZONE)


# words


def _of_human(trigger: HumanTrigger) -> Pattern | None:
    rule = trigger.rule
    times = _clock_times(trigger)
    days = _human_days(rule.days, len(times) if times else 0)
    months = _months(rule)
    if trigger.shift or not times or days is None or months is None:
        return None
    hours = tuple(sorted({at // 3600 for at in times}))
    minutes = tuple(sorted({at // 60 % 60 for at in times}))
    seconds = tuple(sorted({at % 60 for at in times}))
    if len(hours) * len(minutes) * len(seconds) != len(times):
        return None  # RRULE multiplies what it is given
    freq, said = days
    if months:
        if "months" in said:
            return None
        said["months"] = months
    parts = Parts(freq, hours=hours, minutes=minutes, seconds=seconds, **said)  # type: ignore[arg-type]
    return Pattern(parts, trigger.zone)


def _clock_times(trigger: HumanTrigger) -> tuple[int, ...] | None:
    """Seconds of the day; None where the sun says them, or they pass midnight."""
    times = trigger.rule.times
    if isinstance(times, At):
        points = list(times.points)
    else:
        points = [times.start, *([times.end] if times.end else [])]
    offsets = trigger.offsets if all(isinstance(p, Clock) for p in points) else None
    if not offsets or len(offsets) > MOST_TIMES or offsets[-1] >= 86_400:
        return None
    return tuple(sorted(set(offsets)))


def _months(rule: Rule) -> tuple[int, ...] | None:
    """Those it names; none: all of them. None: it leaves out more than months."""
    left = set(rule.months or ALL_MONTHS)
    for without in rule.without:
        if not isinstance(without, InMonths):
            return None
        left -= without.months
    if not left:
        return None
    return () if left == ALL_MONTHS else tuple(sorted(left))


def _human_days(days: Days, times: int) -> tuple[str, dict[str, object]] | None:
    match days:
        case EveryDay():
            return "DAILY", {}
        case OnWeekdays(found):
            return "WEEKLY", {"days": tuple((0, d) for d in sorted(found))}
        case EveryDays(number):
            return "DAILY", {"interval": number}
        case EveryWeeks(number, found):
            on = tuple((0, d) for d in sorted(found))
            return "WEEKLY", {"interval": number, "days": on}
        case OnDates(dates):
            months, numbers = {m for m, _ in dates}, {d for _, d in dates}
            if len(months) * len(numbers) != len(set(dates)):
                return None
            named = {"months": tuple(sorted(months))}
            return "YEARLY", {**named, "month_days": tuple(sorted(numbers))}
        case Nth():
            return _nth(days, times)
    return None


def _nth(days: Nth, times: int) -> tuple[str, dict[str, object]] | None:
    ordinals = tuple(sorted(days.ordinals))
    if days.period != "month":
        return None
    said: dict[str, object] = {"interval": days.every}
    if days.what == "day":
        return "MONTHLY", {**said, "month_days": ordinals}
    if days.what in WEEKDAYS:
        day = WEEKDAYS.index(days.what)
        return "MONTHLY", {**said, "days": tuple((n, day) for n in ordinals)}
    classes = {"weekday": range(5), "weekend day": range(5, 7)}
    if days.what not in classes or times != 1:
        return None
    among = tuple((0, day) for day in classes[days.what])
    return "MONTHLY", {**said, "days": among, "positions": ordinals}
