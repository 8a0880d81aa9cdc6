"""On which days an RRULE falls, a year at a time.

dateutil walks a rule from its beginning and, where nothing matches, on to the year
9999; neither can be bounded from outside. A year has 366 days, so we ask each of them.
The tests compare with dateutil.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import groupby

from scheduling.triggers.rrule_parts import Parts

WEEK = timedelta(days=6)


def whole(parts: Parts, start: datetime) -> Parts:
    """The parts with what they leave to DTSTART said (RFC 5545: "gotten from")."""
    said: dict[str, tuple[object, ...]] = {}
    no_day = not (parts.weeks or parts.year_days or parts.month_days or parts.days)
    if no_day and parts.freq == "YEARLY":
        said["month_days"] = (start.day,)
        if not parts.months:
            said["months"] = (start.month,)
    if no_day and parts.freq == "MONTHLY":
        said["month_days"] = (start.day,)
    only_weeks = parts.weeks and not (parts.days or parts.month_days or parts.year_days)
    if only_weeks or (no_day and parts.freq == "WEEKLY"):
        said["days"] = ((0, start.weekday()),)
    if not parts.hours and not parts.within_the_day:
        said["hours"] = (start.hour,)
    if not parts.minutes and parts.freq not in ("SECONDLY", "MINUTELY"):
        said["minutes"] = (start.minute,)
    if not parts.seconds and parts.freq != "SECONDLY":
        said["seconds"] = (start.second,)
    return replace(parts, **said)  # type: ignore[arg-type]


def days_of(parts: Parts, start: datetime, year: int) -> tuple[date, ...]:
    """The days of the year the rule names, before BYSETPOS. `parts` are whole."""
    if parts.freq == "YEARLY" and (year - start.year) % parts.interval:
        return ()
    wanted, in_step = _filter(parts), _step(parts, start.date())
    return tuple(day for day in _all(year) if wanted(day) and in_step(day))


def periods_of(parts: Parts, start: datetime, year: int) -> Iterator[list[date]]:
    """The days that touch the year by the period BYSETPOS chooses from."""
    days = list(days_of(parts, start, year))
    if parts.freq == "WEEKLY":  # a week may begin or end in another year
        first, last = date(year, 1, 1), date(year, 12, 31)
        before = [d for d in days_of(parts, start, year - 1) if d >= first - WEEK]
        after = [d for d in days_of(parts, start, year + 1) if d <= last + WEEK]
        days = [*before, *days, *after]
    for _, group in groupby(days, _period(parts)):
        yield list(group)


def _all(year: int) -> Iterator[date]:
    first = date(year, 1, 1).toordinal()
    for day in range(first, first + 365 + isleap(year)):
        yield date.fromordinal(day)


def week_start(day: date, wkst: int) -> int:
    return day.toordinal() - (day.weekday() - wkst) % 7


def _period(parts: Parts) -> Callable[[date], int]:
    match parts.freq:
        case "YEARLY":
            return lambda day: day.year
        case "MONTHLY":
            return lambda day: day.year * 12 + day.month
        case "WEEKLY":
            return lambda day: week_start(day, parts.wkst)
        case _:
            return date.toordinal


def _step(parts: Parts, start: date) -> Callable[[date], bool]:
    """Whether a day lies in a period that INTERVAL does not leave out."""
    every = parts.interval
    match parts.freq:
        case "MONTHLY":
            months = start.year * 12 + start.month
            return lambda day: (day.year * 12 + day.month - months) % every == 0
        case "WEEKLY":
            week = week_start(start, parts.wkst)
            return lambda d: (week_start(d, parts.wkst) - week) // 7 % every == 0
        case "DAILY":
            first = start.toordinal()
            return lambda day: (day.toordinal() - first) % every == 0
        case _:
            return lambda day: True


def _filter(parts: Parts) -> Callable[[date], bool]:
    tests: list[Callable[[date], bool]] = []
    if parts.months:
        tests.append(lambda day: day.month in parts.months)
    if parts.month_days:
        tests.append(lambda day: _month_day(day, parts.month_days))
    if parts.year_days:
        tests.append(lambda day: _year_day(day, parts.year_days))
    if parts.weeks:
        tests.append(lambda day: _week(day, parts))
    if parts.days:
        by_month = parts.freq == "MONTHLY" or bool(parts.months)
        tests.append(lambda day: _weekday(day, parts, by_month=by_month))
    return lambda day: all(test(day) for test in tests)


def _month_day(day: date, allowed: tuple[int, ...]) -> bool:
    length = monthrange(day.year, day.month)[1]
    return day.day in allowed or day.day - length - 1 in allowed


def _year_day(day: date, allowed: tuple[int, ...]) -> bool:
    number = day.timetuple().tm_yday
    return number in allowed or number - (365 + isleap(day.year)) - 1 in allowed


def _week(day: date, parts: Parts) -> bool:
    """Weeks begin on WKST; the first has at least four days in the year."""
    begins = week_start(day, parts.wkst)
    year = date.fromordinal(begins + 3).year
    first = _first_week(year, parts.wkst)
    number = (begins - first) // 7 + 1
    weeks = (_first_week(year + 1, parts.wkst) - first) // 7
    return number in parts.weeks or number - weeks - 1 in parts.weeks


def _first_week(year: int, wkst: int) -> int:
    return week_start(date(year, 1, 4), wkst)


def _weekday(day: date, parts: Parts, *, by_month: bool) -> bool:
    plain = {weekday for nth, weekday in parts.days if not nth}
    if day.weekday() in plain:
        return True
    numbered = {nth for nth, weekday in parts.days if nth and weekday == day.weekday()}
    if not numbered:
        return False
    if by_month:
        number, length = day.day, monthrange(day.year, day.month)[1]
    else:
        number, length = day.timetuple().tm_yday, 365 + isleap(day.year)
    return (number - 1) // 7 + 1 in numbered or -(
        (length - number) // 7 + 1
    ) in numbered
