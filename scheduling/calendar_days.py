"""The calendars there are, by name, as sets of days: built in and users' own.

Read when a timetable is built, never for a plain schedule; what was read is kept until
a calendar changes. `stamp` tells one state of all calendars from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import blake2b

from scheduling.calendar_content import days_of
from scheduling.calendar_models import Calendar
from scheduling.triggers.days import WEEKEND, WORKING_WEEK, DaySet

HOLIDAYS = "holidays"  # business days are weekdays without them
BUSINESS_DAYS = "business_days"
BUILT_IN = {
    "weekdays": "Monday to Friday",
    "weekends": "Saturday and Sunday",
    BUSINESS_DAYS: "Weekdays, without the calendar named holidays",
}


@dataclass(frozen=True, slots=True)
class Without:
    """Days of one set that are not in another."""

    days: DaySet
    out: DaySet

    def includes(self, day: date) -> bool:
        return self.days.includes(day) and not self.out.includes(day)


class DaySets(Mapping[str, DaySet]):
    """Every calendar by name; nothing is read before one is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, DaySet] | None = None

    def _all(self) -> dict[str, DaySet]:
        if self._known is None:
            self._known = _built_in() | _users()
            if HOLIDAYS in self._known:
                business = Without(WORKING_WEEK, self._known[HOLIDAYS])
                self._known[BUSINESS_DAYS] = business
        return self._known

    def __getitem__(self, name: str) -> DaySet:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _built_in() -> dict[str, DaySet]:
    return {
        "weekdays": WORKING_WEEK,
        "weekends": WEEKEND,
        BUSINESS_DAYS: WORKING_WEEK,
    }


def _users() -> dict[str, DaySet]:
    versions = Calendar.objects.values_list("name", "version", "pk")
    return {name: _parsed(pk, version) for name, version, pk in versions}


@lru_cache(maxsize=256)
def _parsed(pk: int, version: int) -> DaySet:
    return days_of(Calendar.objects.values_list("content", flat=True).get(pk=pk))


def forget() -> None:
    """Read the rows again."""
    _parsed.cache_clear()


def stamp() -> int:
    """A number for the present state of all calendars, that fits a column."""
    rows = Calendar.objects.order_by("pk").values_list("pk", "name", "version")
    said = repr(list(rows)).encode()
    return int.from_bytes(blake2b(said, digest_size=8).digest()) >> 1
