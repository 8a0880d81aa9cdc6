"""The days of a human rule as sets of days, in a zone's calendar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from scheduling.triggers.days import WEEKEND, WORKING_WEEK, DaySet, Weekdays
from scheduling.triggers.human import (
    BUSINESS_DAYS,
    HOLIDAYS,
    Days,
    EveryDay,
    EveryDays,
    EveryWeeks,
    InMonths,
    Nth,
    OnCalendar,
    OnDates,
    OnWeekdays,
    Rule,
    is_anchored,
)
from scheduling.triggers.human_words import WEEKDAYS

ONE = timedelta(days=1)
Calendars = Mapping[str, DaySet]
ANCHOR_AHEAD = 3_700  # days: ten years hold a first day of every period


@dataclass(frozen=True, slots=True)
class Where:
    """A set of days by a condition."""

    holds: Callable[[date], bool]

    def includes(self, day: date) -> bool:
        return self.holds(day)


@dataclass(frozen=True, slots=True)
class NthDays:
    """The nth days of a class in each month, quarter or year."""

    ordinals: frozenset[int]
    among: DaySet
    months: int  # the length of a period
    plain: bool  # all days: the day's number says it

    def includes(self, day: date) -> bool:
        if not self.among.includes(day):
            return False
        first, last = period_around(day, self.months)
        if any(n > 0 for n in self.ordinals) and self._from(first, day):
            return True
        return -1 in self.ordinals and self._is_last(day, last)

    def _from(self, first: date, day: date) -> bool:
        passed = (day - first).days
        if self.plain or passed == 0:
            return passed + 1 in self.ordinals
        earlier = (first + n * ONE for n in range(passed))
        return sum(map(self.among.includes, earlier)) + 1 in self.ordinals

    def _is_last(self, day: date, last: date) -> bool:
        later = (day + n * ONE for n in range(1, (last - day).days + 1))
        return not any(map(self.among.includes, later))


def period_around(day: date, months: int) -> tuple[date, date]:
    """The first and last day of the month, quarter or year."""
    first = day.replace(day=1, month=(day.month - 1) // months * months + 1)
    last_month = first.month + months - 1
    after = (first.replace(month=last_month) + 31 * ONE) if last_month < 12 else None
    if after is None:
        return first, first.replace(month=12, day=31)
    return first, after.replace(day=1) - ONE


def days_of(rule: Rule, calendars: Calendars, anchor: date | None) -> DaySet:
    """The days a rule names, without those it leaves out.

    Raises ValueError for a calendar there is not, and for an anchored rule without one.
    """
    if is_anchored(rule) and anchor is None:
        raise ValueError("the rule counts from a day, and there is none")
    from_day = anchor or date.min
    base = _set(rule.days, calendars, from_day)
    without = [_set(days, calendars, from_day) for days in rule.without]
    months = rule.months

    def holds(day: date) -> bool:
        if months and day.month not in months:
            return False
        return base.includes(day) and not any(w.includes(day) for w in without)

    return Where(holds)


def _set(days: Days, calendars: Calendars, anchor: date) -> DaySet:
    match days:
        case EveryDay():
            return Where(lambda day: True)
        case OnWeekdays(found):
            return Weekdays(found)
        case EveryDays(number):
            return Where(lambda day: (day - anchor).days % number == 0)
        case EveryWeeks(number, found):
            return _weeks(number, Weekdays(found), anchor)
        case Nth():
            return _nth(days, calendars, anchor)
        case OnDates(dates):
            named = frozenset(dates)
            return Where(lambda day: (day.month, day.day) in named)
        case OnCalendar(name):
            return calendar(name, calendars)
        case InMonths(months):
            return Where(lambda day: day.month in months)


def calendar(name: str, calendars: Calendars) -> DaySet:
    """The days of a calendar. Raises ValueError when there is none of that name."""
    if name in calendars:
        return calendars[name]
    if name == BUSINESS_DAYS and HOLIDAYS in calendars:
        free = calendars[HOLIDAYS]
        return Where(lambda d: WORKING_WEEK.includes(d) and not free.includes(d))
    said = f'there is no calendar named "{name}"'
    if name == BUSINESS_DAYS:
        said += f', nor one named "{HOLIDAYS}" to take from Monday to Friday'
    raise ValueError(f"{said}; make one first")


def _weeks(number: int, among: Weekdays, anchor: date) -> DaySet:
    first = _monday(_first(among, anchor))
    return Where(
        lambda day: (
            among.includes(day) and (_monday(day) - first).days // 7 % number == 0
        )
    )


def _monday(day: date) -> date:
    return day - day.weekday() * ONE


def _first(among: DaySet, anchor: date) -> date:
    """The first of the days from the anchor on; the anchor where there is none."""
    days = (anchor + n * ONE for n in range(ANCHOR_AHEAD))
    return next((day for day in days if among.includes(day)), anchor)


def _nth(days: Nth, calendars: Calendars, anchor: date) -> DaySet:
    every = NthDays(
        frozenset(days.ordinals),
        _among(days.what, calendars),
        {"month": 1, "quarter": 3, "year": 12}[days.period],
        plain=days.what == "day",
    )
    if days.every == 1:
        return every
    first = _month(_first(every, anchor))
    return Where(
        lambda day: (_month(day) - first) % days.every == 0 and every.includes(day)
    )


def _month(day: date) -> int:
    return day.year * 12 + day.month


def _among(what: str, calendars: Calendars) -> DaySet:
    if what == "day":
        return Where(lambda day: True)
    if what == "business day":
        return calendar(BUSINESS_DAYS, calendars)
    known = {"weekday": WORKING_WEEK, "weekend day": WEEKEND}
    return known.get(what) or Weekdays(frozenset((WEEKDAYS.index(what),)))
