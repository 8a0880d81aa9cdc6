"""The days of a user's calendar: single, yearly, weekdays, recurring events."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from scheduling.triggers.rrule import RruleRule

YEARS_KEPT = 200


@dataclass(frozen=True)
class RecurringDays:
    """An event that comes again, so many days long."""

    begins_on: RruleRule
    days: int

    def in_year(self, year: int) -> Iterator[date]:
        for before in (year - 1, year):
            for first in self.begins_on.days_in(before):
                for number in range(self.days):
                    day = first + timedelta(days=number)
                    if day.year == year:
                        yield day


class UserDays:
    """The days of a user's calendar."""

    def __init__(
        self,
        weekdays: frozenset[int],
        yearly: frozenset[tuple[int, int]],
        dates: tuple[date, ...],
        rules: tuple[RecurringDays, ...] = (),
    ) -> None:
        self.weekdays = weekdays
        self.yearly = yearly
        self.dates = dates  # sorted
        self.rules = rules
        self._years: dict[int, frozenset[date]] = {}

    def includes(self, day: date) -> bool:
        if day.weekday() in self.weekdays or (day.month, day.day) in self.yearly:
            return True
        place = bisect_left(self.dates, day)
        if place < len(self.dates) and self.dates[place] == day:
            return True
        return bool(self.rules) and day in self._recurring(day.year)

    def _recurring(self, year: int) -> frozenset[date]:
        known = self._years.get(year)
        if known is None:
            found = {day for rule in self.rules for day in rule.in_year(year)}
            known = frozenset(found)
            if len(self._years) > YEARS_KEPT:
                self._years.clear()
            self._years[year] = known
        return known
