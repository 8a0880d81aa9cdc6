"""An RRULE as local times: the next one, and how many, without walking from DTSTART.

The days of a year and the times of a day are found apart and kept; COUNT becomes the
last local time once. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from scheduling.triggers.base import SECOND
from scheduling.triggers.rrule_days import days_of, periods_of, whole
from scheduling.triggers.rrule_parts import Parts

DAY_S = 86_400
UNIT_S = {"HOURLY": 3_600, "MINUTELY": 60, "SECONDLY": 1}
YEARS_AHEAD = 100  # a rule without a time for so long has none
LAST_YEAR = 2999
YEARS_KEPT = 64
PHASES_KEPT = 32


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What is said of a recurrence, in naive local times."""

    start: datetime
    parts: Parts
    until: datetime | None = None  # inclusive
    also: tuple[datetime, ...] = ()  # RDATE, sorted
    without: frozenset[datetime] = frozenset()  # EXDATE
    without_days: frozenset[date] = frozenset()  # EXDATE;VALUE=DATE
    shift: timedelta = timedelta()  # the whole series was moved by this


class RruleRule:
    """A LocalRule. Equal rules are equal values."""

    def __init__(self, said: Recurrence) -> None:
        self.said = said
        self.parts = whole(said.parts, said.start)
        self._years: dict[int, tuple[date, ...]] = {}
        self._chosen: dict[date, tuple[int, ...]] = {}  # with BYSETPOS: the day's times
        self._phases: dict[int, Sequence[int]] = {}
        self._of_day = _of_day(self.parts)
        self.last = said.until  # the last local time; None: it goes on
        if said.parts.count is not None:
            self.last = self._counted(said.parts.count)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RruleRule) and self.said == other.said

    def __hash__(self) -> int:
        return hash(self.said)

    @property
    def repeats_within_the_day(self) -> bool:
        return self.parts.within_the_day

    def next_local(self, low: datetime) -> datetime | None:
        low -= self.said.shift
        found = self._next(low)
        while found is not None and self._is_out(found):
            is_day = found.date() in self.said.without_days
            found = self._next(_midnight_after(found) if is_day else found + SECOND)
        also = next((a for a in self._also() if a >= low), None)
        firsts = [one for one in (found, also) if one is not None]
        return min(firsts) + self.said.shift if firsts else None

    def count_local(self, low: datetime, high: datetime) -> int:
        low, high = low - self.said.shift, high - self.said.shift
        found = self._count(low, high)
        for day in self.said.without_days:
            begin = datetime.combine(day, time())
            found -= self._count(max(low, begin), min(high, _midnight_after(begin)))
        for one in self.said.without:
            inside = low <= one < high and one.date() not in self.said.without_days
            found -= inside and self._is_one(one)
        added = (a for a in self._also() if low <= a < high)
        return found + sum(not self._is_one(a) for a in added)

    def days_in(self, year: int) -> Iterator[date]:
        """The days of the year on which it falls."""
        for day in self._days(year):
            times = (_at(day, second) for second in self._times(day))
            if any(self._stands(at) for at in times):
                yield day
        yield from (at.date() for at in self._also() if at.year == year)

    def _stands(self, at: datetime) -> bool:
        begun = at >= self.said.start and (self.last is None or at <= self.last)
        return begun and not self._is_out(at)

    def _is_out(self, at: datetime) -> bool:
        return at in self.said.without or at.date() in self.said.without_days

    def _also(self) -> Iterator[datetime]:
        return (at for at in self.said.also if not self._is_out(at))

    def _is_one(self, at: datetime) -> bool:
        return self._count(at, at + SECOND) > 0

    # the rule itself, without EXDATE and RDATE

    def _next(self, low: datetime) -> datetime | None:
        low = max(low, self.said.start)
        for year in range(low.year, min(low.year + YEARS_AHEAD, LAST_YEAR + 1)):
            if self.last is not None and self.last.year < year:
                return None
            days = self._days(year)
            for day in days[bisect_left(days, low.date()) :]:
                times = self._times(day)
                first = _second_of(low) if day == low.date() else 0
                place = bisect_left(times, first)
                if place < len(times):
                    return self._within(_at(day, times[place]))
        return None

    def _within(self, found: datetime) -> datetime | None:
        return found if self.last is None or found <= self.last else None

    def _count(self, low: datetime, high: datetime) -> int:
        low = max(low, self.said.start)
        if self.last is not None:
            high = min(high, self.last + SECOND)
        if low >= high:
            return 0
        found = 0
        for year in range(low.year, high.year + 1):
            days = self._days(year)
            first = bisect_left(days, low.date())
            beyond = bisect_left(days, high.date())
            found += self._in_days(days[first:beyond])
        found += self._before(high)
        return found - self._before(low)

    def _before(self, moment: datetime) -> int:
        """Times of the moment's day that come before it."""
        days = self._days(moment.year)
        place = bisect_left(days, moment.date())
        if place == len(days) or days[place] != moment.date():
            return 0
        return bisect_left(self._times(moment.date()), _second_of(moment))

    def _in_days(self, days: Sequence[date]) -> int:
        if not days:
            return 0
        if self._every_day_alike:
            return len(days) * len(self._times(days[0]))
        return sum(len(self._times(day)) for day in days)

    @property
    def _every_day_alike(self) -> bool:
        if not self.parts.within_the_day:
            return not self.parts.positions or self.parts.freq == "DAILY"
        return DAY_S % (self.parts.interval * UNIT_S[self.parts.freq]) == 0

    def _counted(self, count: int) -> datetime | None:
        """The count-th local time; None: later than we look."""
        first, left = self.said.start, count
        for year in range(first.year, LAST_YEAR + 1):
            for day in self._days(year):
                if day < first.date():
                    continue
                times = self._times(day)
                begin = _second_of(first) if day == first.date() else 0
                place = bisect_left(times, begin)
                if len(times) - place >= left:
                    return _at(day, times[place + left - 1])
                left -= len(times) - place
        return None

    def _days(self, year: int) -> tuple[date, ...]:
        known = self._years.get(year)
        if known is not None:
            return known
        if len(self._years) >= YEARS_KEPT:
            self._years, self._chosen = {}, {}
        if self._picks_days:
            chosen = _chosen(self.parts, self.said.start, year, self._of_day)
            self._chosen |= chosen
            known = tuple(sorted(chosen))
        else:
            known = days_of(self.parts, self.said.start, year)
        self._years[year] = known
        return known

    @property
    def _picks_days(self) -> bool:
        return bool(self.parts.positions) and not self.parts.within_the_day

    def _times(self, day: date) -> Sequence[int]:
        """Seconds of the day, in order."""
        if self._picks_days:
            if day not in self._chosen:
                self._years.pop(day.year, None)
                self._days(day.year)
            return self._chosen[day]
        if not self.parts.within_the_day:
            return self._of_day
        step = self.parts.interval * UNIT_S[self.parts.freq]
        begin = _truncated(self.said.start, self.parts.freq)
        phase = int((begin - datetime.combine(day, time())).total_seconds()) % step
        if phase not in self._phases:
            if len(self._phases) >= PHASES_KEPT:
                self._phases = {}
            self._phases[phase] = _in_step(self.parts, phase, step)
        return self._phases[phase]


def _at(day: date, second: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(seconds=second)


def _second_of(moment: datetime) -> int:
    """Of its day; what lies behind a whole second counts as the next one."""
    whole_s = moment.hour * 3600 + moment.minute * 60 + moment.second
    return whole_s + (moment.microsecond > 0)


def _midnight_after(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time()) + timedelta(days=1)


def _truncated(moment: datetime, freq: str) -> datetime:
    if freq == "SECONDLY":
        return moment
    moment = moment.replace(second=0)
    return moment if freq == "MINUTELY" else moment.replace(minute=0)


def _of_day(parts: Parts) -> tuple[int, ...]:
    """The fixed times of a day; nothing for a rule that repeats within it."""
    if parts.within_the_day:
        return ()
    return tuple(
        hour * 3600 + minute * 60 + second
        for hour in parts.hours
        for minute in parts.minutes
        for second in parts.seconds
    )


def _chosen(
    parts: Parts, start: datetime, year: int, times: tuple[int, ...]
) -> Mapping[date, tuple[int, ...]]:
    """What BYSETPOS leaves of each period, by day of the year."""
    found: dict[date, set[int]] = {}
    for days in periods_of(parts, start, year):
        for place in _places(len(days) * len(times), parts.positions):
            day = days[place // len(times)]
            if day.year == year:
                found.setdefault(day, set()).add(times[place % len(times)])
    return {day: tuple(sorted(chosen)) for day, chosen in found.items()}


def _places(size: int, positions: tuple[int, ...]) -> set[int]:
    places = {p - 1 if p > 0 else size + p for p in positions}
    return {place for place in places if 0 <= place < size}


def _in_step(parts: Parts, phase: int, step: int) -> Sequence[int]:
    """Seconds of a day on which the steps fall, by what the parts allow."""
    offsets = _offsets(parts)
    if parts.positions:
        offsets = [offsets[p] for p in sorted(_places(len(offsets), parts.positions))]
    steps: Sequence[int] = range(phase, DAY_S, step)
    allowed = _allowed(parts)
    if allowed is not None:
        steps = [at for at in steps if allowed(at)]
    if len(offsets) == 1 and isinstance(steps, range):
        return range(phase + offsets[0], DAY_S, step)
    return tuple(at + offset for at in steps for offset in offsets)


def _offsets(parts: Parts) -> list[int]:
    """Seconds after each step at which it fires."""
    if parts.freq == "SECONDLY":
        return [0]
    minutes = parts.minutes if parts.freq == "HOURLY" else (0,)
    return [minute * 60 + second for minute in minutes for second in parts.seconds]


def _allowed(parts: Parts) -> Callable[[int], bool] | None:
    """Whether a step may stand; None: every one may."""
    hours = parts.hours
    minutes = () if parts.freq == "HOURLY" else parts.minutes
    seconds = parts.seconds if parts.freq == "SECONDLY" else ()
    if not (hours or minutes or seconds):
        return None
    return lambda at: (
        (not hours or at // 3600 in hours)
        and (not minutes or at // 60 % 60 in minutes)
        and (not seconds or at % 60 in seconds)
    )
