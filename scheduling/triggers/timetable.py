"""A trigger with its limits: start, end, excluded days and instants, and jitter.

This is what a schedule fires by. "Nominal" is the instant the rule names; "due" is
when it really starts: the nominal instant and a jitter that depends on nothing but
the schedule and the instant, so that the preview and the firing agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from scheduling.triggers.base import TICK, Trigger, firings, key_of, last_firings
from scheduling.triggers.zones import first_instant, local


@dataclass(frozen=True)
class Timetable:
    trigger: Trigger
    zone: ZoneInfo
    start_at: datetime | None = None  # no firing before it
    end_at: datetime | None = None  # no firing at or after it
    without_instants: frozenset[datetime] = frozenset()
    without_days: frozenset[date] = frozenset()  # as the zone's clocks show them
    jitter_s: int = 0
    salt: str = ""  # the schedule's uid

    def next_after(self, moment: datetime) -> datetime | None:
        """The first nominal instant strictly after `moment`; None: never again."""
        at = self._from(moment)
        while (found := self.trigger.next_after(at)) is not None:
            if self.end_at is not None and found >= self.end_at:
                return None
            if local(self.zone, found).date() in self.without_days:
                at = self._day(local(self.zone, found).date())[1]
            elif found in self.without_instants:
                at = found
            else:
                return found
        return None

    def count(self, after: datetime, until: datetime) -> int:
        """How many nominal instants lie in (after, until]."""
        after = self._from(after)
        if self.end_at is not None:
            until = min(until, self.end_at - TICK)
        if after >= until:
            return 0
        found = self.trigger.count(after, until)
        for day in self.without_days:
            low, high = self._day(day)
            if max(low, after) < min(high, until):
                found -= self.trigger.count(max(low, after), min(high, until))
        for instant in self.without_instants:
            if after < instant <= until and self._only_excluded_here(instant):
                found -= 1
        return found

    def between(
        self, after: datetime, until: datetime, *, at_most: int
    ) -> list[datetime]:
        return firings(self, after, until, at_most=at_most)

    def last(self, after: datetime, until: datetime, *, at_most: int) -> list[datetime]:
        return last_firings(self, after, until, at_most=at_most)

    def due(self, nominal: datetime) -> datetime:
        """When the nominal instant really starts: never earlier than it says."""
        if not self.jitter_s:
            return nominal
        seed = blake2b(f"{self.salt}@{key_of(nominal)}".encode(), digest_size=8)
        fraction = int.from_bytes(seed.digest()) / 2**64
        return nominal + timedelta(milliseconds=int(fraction * self.jitter_s * 1000))

    def _from(self, moment: datetime) -> datetime:
        return moment if self.start_at is None else max(moment, self.start_at - TICK)

    def _day(self, day: date) -> tuple[datetime, datetime]:
        """(after, until] holds exactly the instants of one local day."""
        midnight = datetime.combine(day, time())
        low = first_instant(self.zone, midnight)
        high = first_instant(self.zone, midnight + timedelta(days=1))
        return low - TICK, high - TICK

    def _only_excluded_here(self, instant: datetime) -> bool:
        """It is a firing, and no excluded day takes it away already."""
        if local(self.zone, instant).date() in self.without_days:
            return False
        return self.trigger.next_after(instant - TICK) == instant
