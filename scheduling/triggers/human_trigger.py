"""The instants of a human rule: its days, each with its times, in a time zone.

Fixed times are local times, as cron's are: once in a repeated hour, at the first
instant after a gap. What repeats within the day runs in every real hour. A day on
which the sun does not do what the rule asks for is left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from scheduling.triggers.cron import Dst
from scheduling.triggers.days import DaySet
from scheduling.triggers.human import (
    DAY_S,
    At,
    Clock,
    Every,
    Point,
    Rule,
    needs_place,
)
from scheduling.triggers.human_days import Calendars, days_of
from scheduling.triggers.solar import Place, instant_on
from scheduling.triggers.zones import (
    Change,
    changes_in,
    first_instant,
    local,
    offset_at,
)

HORIZON_DAYS = 50 * 366  # February 29 on one weekday comes back within 40 years
ONE = timedelta(days=1)
NEAR = 3  # days from a change of the clocks that are walked by the instant
KEPT_DAYS = 64
NO_PLACE = (
    "the sun's times need a place: set latitude and longitude of the schedule, or of "
    "the installation in its configuration"
)


@dataclass(frozen=True)
class HumanTrigger:
    rule: Rule
    zone: ZoneInfo
    days: DaySet
    dst: Dst = ""
    shift: timedelta = timedelta()  # the series was moved by what clocks show
    place: Place | None = None
    anchor: date | None = None

    @property
    def repeated(self) -> Literal["once", "both", "skip"]:
        if self.dst:
            return self.dst
        return "both" if isinstance(self.rule.times, Every) else "once"

    @property
    def fires_after_a_gap(self) -> bool:
        return self.dst != "skip" and isinstance(self.rule.times, At)

    def next_after(self, moment: datetime) -> datetime | None:
        best: datetime | None = None
        first = local(self.zone, moment).date()
        for day in _days(first - self._reach * ONE, HORIZON_DAYS):
            if best is not None and day > local(self.zone, best).date() + self._ahead:
                break
            if not self.days.includes(day):
                continue
            of_day = self._of_day(day)
            at = bisect_right(of_day, moment)
            if at < len(of_day) and (best is None or of_day[at] < best):
                best = of_day[at]
        return best

    def count(self, after: datetime, until: datetime) -> int:
        """Days far from both ends and from changes of the clocks have as many instants
        as the rule has times; the others are walked, each instant once."""
        if after >= until:
            return 0
        low, high = (local(self.zone, m).date() for m in (after, until))
        reach = self._reach
        found, walked = 0, set[datetime]()
        last = (high - low).days + 2 * reach
        for n, day in enumerate(_days(low - reach * ONE, last + 1)):
            if not self.days.includes(day):
                continue
            inside = 2 * reach < n < last - 2 * reach
            if inside and self.offsets is not None and not self._changes_near(day):
                found += len(self.offsets)
            else:
                walked.update(at for at in self._of_day(day) if after < at <= until)
        return found + len(walked)

    def touched_by(self, change: Change) -> bool:
        """Whether the change leaves out or repeats times of the rule."""
        low, high = change.stretch
        for day in _days(low.date() - self._reach * ONE, 2 * self._reach + 2):
            if self.offsets is None or not self.days.includes(day):
                continue
            shown = (self._shown(day, s) for s in self.offsets)
            if any(low <= each < high for each in shown):
                return True
        return False

    @cached_property
    def _reach(self) -> int:
        """How many days from its own a day's instants may lie."""
        return 2 + abs(self.shift) // ONE + (1 if needs_place(self.rule) else 0)

    @property
    def _ahead(self) -> timedelta:
        return self._reach * ONE

    @cached_property
    def offsets(self) -> tuple[int, ...] | None:
        """The seconds of a day the rule names; None where the sun says them."""
        times = self.rule.times
        if needs_place(self.rule):
            return None
        if isinstance(times, At):
            return tuple(p.second for p in times.points if isinstance(p, Clock))
        start = times.start.second if isinstance(times.start, Clock) else 0
        end = times.end.second if isinstance(times.end, Clock) else DAY_S - 1
        if end < start:
            end += DAY_S
        return tuple(range(start, end + 1, times.step_s))

    @cached_property
    def _of_day(self) -> Callable[[date], tuple[datetime, ...]]:
        """The instants of one day of the rule, in order; kept for the next question."""
        return lru_cache(maxsize=KEPT_DAYS)(self._instants)

    def _instants(self, day: date) -> tuple[datetime, ...]:
        if self.offsets is None:
            found = [self._shifted(at) for at in self._by_the_sun(day)]
            return tuple(sorted(set(found)))
        noon = datetime.combine(self._moved(day), time(12), UTC)
        near = self._changes_near(day)
        offset = near[0].before if near else offset_at(self.zone, noon)
        shown = (self._shown(day, second) for second in self.offsets)
        bounds = [(*change.stretch, change.after) for change in near]
        found = [at for each in shown for at in self._by_clocks(each, offset, bounds)]
        return tuple(sorted(set(found)))

    def _shown(self, day: date, second: int) -> datetime:
        return datetime.combine(day, time()) + timedelta(seconds=second) + self.shift

    def _by_clocks(
        self,
        shown: datetime,
        offset: timedelta,
        changes: list[tuple[datetime, datetime, timedelta]],
    ) -> Iterable[datetime]:
        """`offset`: that before the first change; a change: its stretch, and after."""
        for low, high, later in changes:
            if shown >= high:
                offset = later
            elif shown >= low:
                return self._when(shown)
        return ((shown - offset).replace(tzinfo=UTC),)

    def _when(self, shown: datetime) -> list[datetime]:
        """The instants at which clocks show a time, by the rule's policy."""
        both = [shown.replace(tzinfo=self.zone, fold=f).astimezone(UTC) for f in (0, 1)]
        real = sorted({at for at in both if local(self.zone, at) == shown})
        if not real:
            return [first_instant(self.zone, shown)] if self.fires_after_a_gap else []
        if len(real) > 1 and self.repeated == "skip":
            return []
        return real if self.repeated == "both" else real[:1]

    def _changes_near(self, day: date) -> tuple[Change, ...]:
        moved = self._moved(day)
        return _near_changes(self.zone, moved.year).get(moved, ())

    def _moved(self, day: date) -> date:
        return day + self.shift // ONE * ONE

    def _by_the_sun(self, day: date) -> Iterator[datetime]:
        times = self.rule.times
        if isinstance(times, At):
            for point in times.points:
                yield from self._at(point, day)
            return
        start = next(iter(self._at(times.start, day)), None)
        end = next(iter(self._at(times.end or Clock(DAY_S), day)), None)
        if start is not None and end is not None and end <= start and times.end:
            end = next(iter(self._at(times.end, day + ONE)), None)
        if start is None or end is None:
            return
        steps = (end - start) // timedelta(seconds=times.step_s) + 1
        for n in range(steps):
            at = start + n * timedelta(seconds=times.step_s)
            if times.end is not None or at < end:
                yield at

    def _at(self, point: Point, day: date) -> Iterable[datetime]:
        if isinstance(point, Clock):
            midnight = datetime.combine(day, time())
            return self._when(midnight + timedelta(seconds=point.second))
        assert self.place is not None, "checked when the trigger was made"
        found = sun_on(day, point.event, self.place, self.zone)
        return () if found is None else (found + timedelta(seconds=point.offset_s),)

    def _shifted(self, at: datetime) -> datetime:
        if not self.shift:
            return at
        return first_instant(self.zone, local(self.zone, at) + self.shift)


def human_trigger(
    rule: Rule,
    zone: ZoneInfo,
    *,
    dst: Dst = "",
    shift_s: int = 0,
    place: Place | None = None,
    anchor_at: datetime | None = None,
    calendars: Calendars | None = None,
) -> HumanTrigger:
    """Raises ValueError where the rule needs a place, a calendar or an anchor that is
    not there."""
    if needs_place(rule) and place is None:
        raise ValueError(NO_PLACE)
    anchor = None if anchor_at is None else local(zone, anchor_at).date()
    days = days_of(rule, calendars or {}, anchor)
    shift = timedelta(seconds=shift_s)
    return HumanTrigger(rule, zone, days, dst, shift, place, anchor)


def sun_on(day: date, event: str, place: Place, zone: ZoneInfo) -> datetime | None:
    """The event on a day as the zone counts days: to the second."""
    for by in (0, -1, 1):
        found = instant_on(day + by * ONE, event, place)
        if found is not None and local(zone, found).date() == day:
            return found.astimezone(UTC).replace(microsecond=0)
    return None


def _days(first: date, number: int) -> Iterator[date]:
    for n in range(number):
        try:
            yield first + n * ONE
        except OverflowError:  # the end of the calendar
            return


@lru_cache(maxsize=4096)
def _near_changes(zone: ZoneInfo, year: int) -> Mapping[date, tuple[Change, ...]]:
    """The changes of the clocks near each day of a year that has some near."""
    found: dict[date, tuple[Change, ...]] = {}
    for change in (c for y in (year - 1, year, year + 1) for c in changes_in(zone, y)):
        for n in range(-NEAR, NEAR + 1):
            day = change.at.date() + n * ONE
            found[day] = (*found.get(day, ()), change)
    return found
