"""A timetable as a recurring event of RFC 5545: DTSTART, RRULE, EXDATE and RDATE. Pure.

Calendars read local times their own way: in a repeated hour the first pass, in a gap
as if the clocks had not changed. Where a schedule means something else, and on excluded
days, the instants are put right one by one. What comes out is then walked beside the
timetable; where they differ there is no series and the instants are named singly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduling.triggers.base import SECOND, TICK
from scheduling.triggers.cron import CronTrigger
from scheduling.triggers.recurrence import UTC_ZONE, Pattern, pattern_of, text_of
from scheduling.triggers.rrule import Recurrence, RruleRule
from scheduling.triggers.timetable import Timetable
from scheduling.triggers.zones import changes_from, first_instant, local

MENDED_AHEAD = timedelta(days=400)  # changes of the clocks that are seen to
MOST_MENDED_DAYS = 600
MOST_MENDED = 200  # instants put right, each way
MOST_IN_A_DAY = 1_500
CHECKED = 60  # firings walked beside the timetable
CHECKED_AHEAD = timedelta(days=100)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Series:
    zone: ZoneInfo
    start: datetime  # DTSTART: naive, in the zone
    rule: str
    until: datetime | None  # the last instant, when there is one
    without: tuple[datetime, ...] = ()  # EXDATE: naive, in the zone
    also: tuple[datetime, ...] = ()  # RDATE: aware


class _NotSo(Exception):
    """It cannot be said as one series."""


def series_of(timetable: Timetable, base: datetime) -> Series | None:
    """The instants after `base`; None: not as a series, or there are none."""
    first = timetable.next_after(base)
    if timetable.jitter_s or first is None or first.microsecond:
        return None
    pattern = pattern_of(timetable.trigger, base)
    if pattern is None:
        return None
    try:
        return _Builder(timetable, pattern, base, first).build()
    except _NotSo:
        return None


class _Builder:
    def __init__(
        self, timetable: Timetable, pattern: Pattern, base: datetime, first: datetime
    ) -> None:
        self.timetable, self.pattern, self.base = timetable, pattern, base
        self.first, self.zone = first, pattern.zone
        self.until = _until(timetable, pattern)
        parts = pattern.parts
        shown = local(self.zone, first)
        by_days = bool(parts.hours) and not parts.within_the_day
        begin = datetime.combine(shown.date(), time()) if by_days else shown
        self.rule = RruleRule(Recurrence(begin, parts))

    def build(self) -> Series:
        without, also = self.mended()
        start = self.start(without)
        early = [at for at in also if at < start]
        if early and self.pattern.parts.within_the_day:
            raise _NotSo
        kept = tuple(sorted(at for at in without if at > start))
        if any(is_mistaken(self.timetable, self.zone, at) for at in kept):
            raise _NotSo
        shown = tuple(_shown(self.zone, at, self.rule) for at in kept)
        begin = _shown(self.zone, start, self.rule)
        series = Series(
            zone=self.zone,
            start=begin,
            rule=text_of(self.pattern.parts, begin, self.until),
            until=self.until,
            without=shown,
            also=tuple(sorted(also)),
        )
        self.check(kept, also, start)
        return series

    def start(self, without: set[datetime]) -> datetime:
        """The first instant that the rule itself names and the timetable has."""
        for at in self.read(self.first - SECOND, self.first + MENDED_AHEAD):
            if at not in without and at >= self.first:
                return at
        raise _NotSo

    def mended(self) -> tuple[set[datetime], set[datetime]]:
        """What the rule says too much, and what it lacks."""
        without: set[datetime] = set()
        also: set[datetime] = set()
        for low, high in self.odd_days():
            ours = set(self.timetable.between(low, high, at_most=MOST_IN_A_DAY))
            read = list(self.read(low, high))
            theirs = set(read)
            if len(ours) == MOST_IN_A_DAY or len(theirs) < len(read):
                raise _NotSo  # too much, or two times of a gap read as one instant
            without |= theirs - ours
            also |= ours - theirs
        if len(without) > MOST_MENDED or len(also) > MOST_MENDED:
            raise _NotSo
        return without, also

    def odd_days(self) -> Iterator[tuple[datetime, datetime]]:
        """(after, until] of each day on which the rule may not be the timetable."""
        zone = self.timetable.zone
        days: set[date] = set(self.timetable.without_days)
        days |= {local(zone, at).date() for at in self.timetable.without_instants}
        trigger = self.timetable.trigger
        if isinstance(trigger, CronTrigger) and isinstance(trigger.rule, RruleRule):
            said = trigger.rule.said
            days |= {at.date() for at in (*said.also, *said.without)}
            days |= said.without_days
        today = local(zone, self.first).date()
        far = self.first + MENDED_AHEAD
        for change in changes_from(zone, self.base - DAY):
            if change.at > far:
                break
            days |= {part.date() for part in change.stretch}
        days = {day for day in days if day >= today}
        if len(days) > MOST_MENDED_DAYS:
            raise _NotSo
        for day in sorted(days):
            midnight = datetime.combine(day, time())
            low = max(first_instant(zone, midnight) - TICK, self.base)
            yield low, first_instant(zone, midnight + DAY) - TICK

    def read(self, low: datetime, high: datetime) -> Iterator[datetime]:
        """The instants in (low, high] as calendars read the rule, in order but for
        those about a change of the clocks."""
        at = local(self.zone, low) - timedelta(hours=2)
        end = local(self.zone, high) + timedelta(hours=2)
        found: datetime | None = at.replace(microsecond=0)
        for _ in range(4 * MOST_IN_A_DAY):
            found = self.rule.next_local(found) if found else None
            if found is None or found > end:
                return
            read = found.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            if low < read <= high and (self.until is None or read <= self.until):
                yield read
            found += SECOND
        raise _NotSo

    def check(
        self, without: tuple[datetime, ...], also: set[datetime], start: datetime
    ) -> None:
        """The first firings are the timetable's. Raises _NotSo."""
        far = self.first + CHECKED_AHEAD
        ours = self.timetable.between(self.base, far, at_most=CHECKED)
        if not ours:
            raise _NotSo
        theirs = set(self.read(start - SECOND, ours[-1])) - set(without)
        if set(ours) != theirs | {at for at in also if at <= ours[-1]}:
            raise _NotSo


def is_mistaken(timetable: Timetable, zone: ZoneInfo, at: datetime) -> bool:
    """Some readers tell instants of a series apart by the clock alone, whether it is
    the zone's or UTC's: naming this one would hit another."""
    shown, utc = local(zone, at), at.astimezone(UTC).replace(tzinfo=None)
    others = (shown.replace(tzinfo=UTC), utc.replace(tzinfo=zone).astimezone(UTC))
    return any(
        other != at and timetable.next_after(other - TICK) == other for other in others
    )


def _until(timetable: Timetable, pattern: Pattern) -> datetime | None:
    ends = []
    if timetable.end_at is not None:
        ends.append((timetable.end_at - TICK).replace(microsecond=0))
    if pattern.last is not None:
        ends.append(first_instant(pattern.zone, pattern.last))
    return min(ends) if ends else None


def _shown(zone: ZoneInfo, at: datetime, rule: RruleRule) -> datetime:
    """The local time by which the rule names an instant. In a gap calendars put it an
    hour later than it is written."""
    shown = local(zone, at)
    if zone is UTC_ZONE or rule.next_local(shown) == shown:
        return shown
    for back in (timedelta(minutes=m) for m in (30, 60, 120)):
        early = shown - back
        read = early.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if read == at and rule.next_local(early) == early:
            return early
    raise _NotSo
