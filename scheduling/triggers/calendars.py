"""A trigger on the days that named calendars allow, and what becomes of the rest.

Days are those of the schedule's zone. An instant on a day that is left out is no
instant of the schedule; or, with a shift, it moves to the next or the previous day
that is not left out, at the same local time. Two that fall together are one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from scheduling.triggers.base import TICK, Trigger, firings
from scheduling.triggers.days import DaySet
from scheduling.triggers.zones import first_instant, local

Shift = Literal["skip", "next", "previous"]
ONE_DAY = timedelta(days=1)
FARTHEST = 40 * 366  # days looked at for one that is allowed
FARTHEST_SHIFT = 366
MOST_SHIFTED = 1_440  # instants of a day that can be moved to another
LAST_DAY = date(2999, 12, 30)
FIRST_DAY = date(1970, 1, 3)
DAYS_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Which days: in one of `on` (any, if none is named) and in none of `without`."""

    on: Mapping[str, DaySet] = field(default_factory=dict)
    without: Mapping[str, DaySet] = field(default_factory=dict)
    shift: Shift = "skip"

    def includes(self, day: date) -> bool:
        return not self.why_not(day)

    def why_not(self, day: date) -> str:
        """The calendar that leaves the day out; "" for a day that is in."""
        for name, days in self.without.items():
            if days.includes(day):
                return name
        if self.on and not any(days.includes(day) for days in self.on.values()):
            return f"not in {' or '.join(self.on)}"
        return ""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """The first instant of a day that is left out, and where it goes, if anywhere."""

    day: date
    why: str
    moved_to: date | None


class CalendarTrigger:
    """`inner`, by the days of `choice`."""

    def __init__(self, inner: Trigger, zone: ZoneInfo, choice: Choice) -> None:
        self.inner = inner
        self.zone = zone
        self.choice = choice
        self._shifted: dict[date, tuple[datetime, ...]] = {}

    def next_after(self, moment: datetime) -> datetime | None:
        if self.choice.shift == "skip":
            return self._next_kept(moment)
        return self._next_shifted(moment)

    def count(self, after: datetime, until: datetime) -> int:
        if after >= until:
            return 0
        if self.choice.shift == "skip":
            return sum(self.inner.count(a, u) for a, u in self._blocks(after, until))
        return self._count_shifted(after, until)

    def passed_over(
        self, after: datetime, until: datetime, *, at_most: int
    ) -> list[PassedOver]:
        """Days with instants of the rule on which the schedule does not run."""
        found: list[PassedOver] = []
        at = self.inner.next_after(after)
        while at is not None and at <= until and len(found) < at_most:
            day = self._day(at)
            if why := self.choice.why_not(day):
                found.append(PassedOver(day, why, self._target(day)))
            at = self.inner.next_after(self._end(day))
        return found

    # left out: no instants at all

    def _next_kept(self, moment: datetime) -> datetime | None:
        at = self.inner.next_after(moment)
        looked = 0
        while at is not None:
            day = self._day(at)
            if self.choice.includes(day):
                return at
            allowed = self._allowed_from(day, 1, FARTHEST - looked)
            if allowed is None:
                return None
            looked += (allowed - day).days
            at = self.inner.next_after(self._end(allowed - ONE_DAY))
        return None

    def _blocks(
        self, after: datetime, until: datetime
    ) -> Iterator[tuple[datetime, datetime]]:
        """(after, until] without the days left out, in stretches."""
        day, last = self._day(after), self._day(until)
        begin: datetime | None = None
        while day <= last:
            if self.choice.includes(day):
                if begin is None:
                    begin = max(after, self._end(day - ONE_DAY))
            elif begin is not None:
                yield begin, self._end(day - ONE_DAY)
                begin = None
            day += ONE_DAY
        if begin is not None:
            yield begin, until

    # shifted: the instants of a day are its own and those that moved to it

    def _next_shifted(self, moment: datetime) -> datetime | None:
        day: date | None = self._day(moment)
        assert day is not None
        last = min(day.toordinal() + FARTHEST, LAST_DAY.toordinal())
        while day is not None:
            day = self._allowed_from(day, 1, last - day.toordinal())
            if day is None:
                return None
            instants = self._on(day)
            place = bisect_right(instants, moment)
            if place < len(instants):
                return instants[place]
            day = self._worth_looking(day)
        return None

    def _worth_looking(self, day: date) -> date | None:
        """The first day after one that is allowed from which on there may be an
        instant; None: there is none any more."""
        upcoming = self.inner.next_after(self._end(day))
        if upcoming is None:
            return None
        source = self._day(upcoming)
        if self.choice.shift == "next":
            return source
        target = self._target(source)  # up to `day` itself: those are known
        return source if target is None else max(target, day + ONE_DAY)

    def _count_shifted(self, after: datetime, until: datetime) -> int:
        found, day, last = 0, self._day(after), self._day(until)
        while day <= last:
            if self.choice.includes(day):
                instants = self._on(day)
                found += bisect_right(instants, until) - bisect_right(instants, after)
            day += ONE_DAY
        return found

    def _on(self, day: date) -> tuple[datetime, ...]:
        """Every instant of a day that is not left out, in order."""
        known = self._shifted.get(day)
        if known is None:
            own = self._of_rule(day)
            moved = {first_instant(self.zone, at) for at in self._moved_to(day)}
            known = tuple(sorted({*own, *moved}))
            if len(self._shifted) >= DAYS_KEPT:
                self._shifted.clear()
            self._shifted[day] = known
        return known

    def _moved_to(self, day: date) -> Iterator[datetime]:
        """Local times on the day that stand for instants of days left out."""
        step = -ONE_DAY if self.choice.shift == "next" else ONE_DAY
        source = day + step
        while not self.choice.includes(source) and self._is_near(source, day):
            for at in self._of_rule(source):
                shown = local(self.zone, at)
                yield datetime.combine(day, shown.time())
            source += step

    def _is_near(self, source: date, day: date) -> bool:
        near = abs((source - day).days) <= FARTHEST_SHIFT
        return near and FIRST_DAY <= source <= LAST_DAY

    def _of_rule(self, day: date) -> list[datetime]:
        after, until = self._end(day - ONE_DAY), self._end(day)
        return firings(self.inner, after, until, at_most=MOST_SHIFTED)

    # days

    def _target(self, day: date) -> date | None:
        """The day on which instants of `day` run; None: on none."""
        if self.choice.shift == "skip":
            return day if self.choice.includes(day) else None
        step = 1 if self.choice.shift == "next" else -1
        return self._allowed_from(day, step, FARTHEST_SHIFT)

    def _allowed_from(self, day: date, step: int, at_most: int) -> date | None:
        """The first day from `day` on, that way, which is not left out."""
        for _ in range(at_most + 1):
            if not FIRST_DAY <= day <= LAST_DAY:
                return None
            if self.choice.includes(day):
                return day
            day += step * ONE_DAY
        return None

    def _day(self, moment: datetime) -> date:
        shown = local(self.zone, moment).date()
        return min(max(shown, FIRST_DAY), LAST_DAY)

    def _end(self, day: date) -> datetime:
        """The last moment of a local day."""
        return first_instant(self.zone, datetime.combine(day + ONE_DAY, time())) - TICK


def too_many_a_day(trigger: CalendarTrigger, day: date) -> bool:
    """Whether a day has more instants than a shift can move."""
    midnight = datetime.combine(day, time())
    begin = first_instant(trigger.zone, midnight) - TICK
    end = first_instant(trigger.zone, midnight + ONE_DAY) - TICK
    return trigger.inner.count(begin, end) > MOST_SHIFTED
