"""A rule in its one canonical form, which reads back as the same rule."""

from __future__ import annotations

import re

from scheduling.triggers.human import (
    BUSINESS_DAYS,
    HOLIDAYS,
    At,
    Clock,
    Days,
    Every,
    EveryDay,
    EveryDays,
    EveryWeeks,
    InMonths,
    Nth,
    OnCalendar,
    OnDates,
    OnWeekdays,
    Point,
    Rule,
    Times,
)
from scheduling.triggers.human_clocks import clock_text
from scheduling.triggers.human_words import MONTHS, SOLAR_NOON, WEEKDAYS

UNITS = ((3600, "hour"), (60, "minute"), (1, "second"))
PLAIN_NAME = re.compile(r"[a-z][a-z0-9_-]*")
WORK, REST = frozenset(range(5)), frozenset((5, 6))


def to_text(rule: Rule) -> str:
    if isinstance(rule.times, Every):
        parts = [times_text(rule.times)]
        if rule.days != EveryDay():
            parts.append(_on(rule.days))
    else:
        parts = [days_text(rule.days), times_text(rule.times)]
    if rule.months:
        parts.append(f"in {_months(rule.months)}")
    if rule.without:
        parts.append(f"except {_list([_bare(days) for days in rule.without])}")
    return " ".join(parts)


def _list(items: list[str]) -> str:
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def _months(months: frozenset[int]) -> str:
    return _list([MONTHS[n - 1] for n in sorted(months)])


def _weekdays(days: frozenset[int]) -> str:
    return _list([WEEKDAYS[n] for n in sorted(days)])


def days_text(days: Days) -> str:
    """At the start of a rule: "every Monday", "on the 1st of every month"."""
    match days:
        case EveryDay():
            return "every day"
        case OnWeekdays(found) if found == WORK:
            return "every weekday"
        case OnWeekdays(found):
            return f"every {_weekdays(found)}"
        case EveryDays(number):
            return f"every {number} days"
        case EveryWeeks(number, found):
            return f"every {number} weeks on {_weekdays(found)}"
        case _:
            return f"on {_bare(days)}"


def _on(days: Days) -> str:
    """Behind "every 15 minutes"."""
    match days:
        case OnWeekdays(found) if found == WORK:
            return "on weekdays"
        case OnWeekdays(found) if found == REST:
            return "on weekends"
        case OnWeekdays(found):
            return f"on {_weekdays(found)}"
        case _:
            return days_text(days)


def _bare(days: Days) -> str:
    match days:
        case OnWeekdays():
            return _on(days).removeprefix("on ")
        case Nth():
            return _nth(days)
        case OnDates(dates):
            return _list([f"{MONTHS[month - 1]} {day}" for month, day in dates])
        case OnCalendar(name):
            return _calendar(name)
        case InMonths(months):
            return f"in {_months(months)}"
        case _:
            return days_text(days)


def _calendar(name: str) -> str:
    if name == HOLIDAYS:
        return "holidays"
    if name == BUSINESS_DAYS:
        return "business days"
    shown = name if PLAIN_NAME.fullmatch(name) else f'"{name}"'
    return f"calendar {shown}"


def _nth(days: Nth) -> str:
    every = f"{days.every} {days.period}s" if days.every > 1 else days.period
    of = f"of every {every}"
    if days.what == "day":
        # "1st, 15th and last day"; a last one comes behind the numbers
        numbered = [nth_text(n) for n in days.ordinals if n > 0]
        last = ["last day"] if -1 in days.ordinals else []
        return f"the {_list([*numbered, *last])} {of}"
    said = _list([*(nth_text(n) for n in days.ordinals if n > 0), *_last(days)])
    return f"the {said} {days.what} {of}"


def _last(days: Nth) -> list[str]:
    return ["last"] if -1 in days.ordinals else []


def nth_text(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    teen = 11 <= number % 100 <= 13
    return f"{number}{'th' if teen else ends.get(number % 10, 'th')}"


def times_text(times: Times) -> str:
    if isinstance(times, At):
        return f"at {_list([point_text(point) for point in times.points])}"
    text = f"every {step_text(times.step_s)}"
    if times.end is not None:
        return f"{text} from {point_text(times.start)} to {point_text(times.end)}"
    if times.start == Clock(0):
        return text
    if at_a_minute(times) and isinstance(times.start, Clock):
        return f"{text} at minute {times.start.second // 60}"
    return f"{text} from {point_text(times.start)}"


def at_a_minute(times: Every) -> bool:
    start = times.start
    if not isinstance(start, Clock) or times.step_s % 3600:
        return False
    return start.second < 3600 and start.second % 60 == 0


def step_text(step_s: int) -> str:
    size, unit = next((s, u) for s, u in UNITS if step_s % s == 0)
    number = step_s // size
    return unit if number == 1 else f"{number} {unit}s"


def point_text(point: Point) -> str:
    if isinstance(point, Clock):
        return clock_text(point)
    event = point.event.replace("_", " ")
    event = "solar noon" if point.event == SOLAR_NOON else event
    if point.offset_s == 0:
        return event
    length = step_text(abs(point.offset_s))
    length = f"1 {length}" if not length[0].isdigit() else length
    return f"{length} {'before' if point.offset_s < 0 else 'after'} {event}"
