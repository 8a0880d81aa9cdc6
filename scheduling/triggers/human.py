"""A rule people say, as a value: which days, at which times, in which months, without
which days. human_parser reads one, human_print writes it, human_trigger walks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

DAY_S = 86_400
HOLIDAYS, BUSINESS_DAYS = "holidays", "business_days"  # names of calendars

Period = Literal["month", "quarter", "year"]


@dataclass(frozen=True, slots=True, order=True)
class Clock:
    """What clocks show, as a second of the day; 86400, the day's end, only ends a
    window."""

    second: int


@dataclass(frozen=True, slots=True, order=True)
class Solar:
    """What the sun does at the schedule's place, and how long after it (below zero:
    before it)."""

    event: str
    offset_s: int = 0


Point = Clock | Solar


@dataclass(frozen=True, slots=True)
class At:
    """Single times of the day, in order, each once."""

    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again within the day, from `start` to `end`, both included; an end
    before the start lies in the next day. None: to the end of the day."""

    step_s: int
    start: Point = Clock(0)
    end: Point | None = None


Times = At | Every


@dataclass(frozen=True, slots=True, order=True)
class EveryDay:
    pass


@dataclass(frozen=True, slots=True)
class OnWeekdays:
    days: frozenset[int]  # 0 is Monday


@dataclass(frozen=True, slots=True)
class EveryDays:
    """Every so many days (2 or more), counted from the anchor's day."""

    number: int


@dataclass(frozen=True, slots=True)
class EveryWeeks:
    """These weekdays of every so many weeks (2 or more); the first week is the one of
    the first such day from the anchor on. Weeks begin on Monday."""

    number: int
    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class Nth:
    """The first, third, last (-1) … of something in every month, quarter or year.

    `what`: day, weekday, weekend day, business day, or a weekday's name. `every`: only
    every so many months, counted from that of the first such day from the anchor on.
    """

    ordinals: tuple[int, ...]
    what: str = "day"
    period: Period = "month"
    every: int = 1


@dataclass(frozen=True, slots=True)
class OnDates:
    dates: tuple[tuple[int, int], ...]  # month and day, in order


@dataclass(frozen=True, slots=True)
class OnCalendar:
    name: str


@dataclass(frozen=True, slots=True)
class InMonths:
    """Whole months; only to be left out."""

    months: frozenset[int]


Days = (
    EveryDay
    | OnWeekdays
    | EveryDays
    | EveryWeeks
    | Nth
    | OnDates
    | OnCalendar
    | InMonths
)
MIDNIGHT = At((Clock(0),))


@dataclass(frozen=True, slots=True)
class Rule:
    days: Days = EveryDay()
    times: Times = MIDNIGHT
    months: frozenset[int] = frozenset()  # none: all of them
    without: tuple[Days, ...] = ()


def day_sets(rule: Rule) -> tuple[Days, ...]:
    return (rule.days, *rule.without)


def names_in(rule: Rule) -> frozenset[str]:
    """The calendars the rule asks for. Business days are a calendar of their own, or
    Monday to Friday without the holidays."""
    return frozenset(name for days in day_sets(rule) for name in _names(days))


def _names(days: Days) -> tuple[str, ...]:
    if isinstance(days, OnCalendar):
        return (days.name,)
    if isinstance(days, Nth) and days.what == "business day":
        return (BUSINESS_DAYS,)
    return ()


def is_anchored(rule: Rule) -> bool:
    """Whether it counts from the day it was made."""
    return any(
        isinstance(days, EveryDays | EveryWeeks)
        or (isinstance(days, Nth) and days.every > 1)
        for days in day_sets(rule)
    )


def points_of(times: Times) -> Iterator[Point]:
    if isinstance(times, At):
        yield from times.points
        return
    yield times.start
    if times.end is not None:
        yield times.end


def needs_place(rule: Rule) -> bool:
    return any(isinstance(point, Solar) for point in points_of(rule.times))
