"""Sets of days, as a zone's calendar counts them: weekends, holidays, shifts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol


class DaySet(Protocol):
    def includes(self, day: date) -> bool: ...


@dataclass(frozen=True, slots=True)
class Weekdays:
    """Days of the week: 0 is Monday, as `date.weekday` counts."""

    days: frozenset[int]

    def includes(self, day: date) -> bool:
        return day.weekday() in self.days


@dataclass(frozen=True, slots=True)
class Dates:
    """Single days, each named."""

    days: frozenset[date]

    def includes(self, day: date) -> bool:
        return day in self.days


WORKING_WEEK = Weekdays(frozenset(range(5)))
WEEKEND = Weekdays(frozenset((5, 6)))
