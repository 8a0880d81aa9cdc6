"""Concurrency groups and rate limits, as a plan spends them. Pure.

A bucket is one instant: when it will be full again. Each start moves that instant on by
the time one start takes to come back, so a bucket left alone fills without being
touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scheduling.planner.explain import Blocked

if TYPE_CHECKING:
    from scheduling.planner.snapshot import QueueClass

QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many at once. Its name is the same for all that share it."""

    name: str
    most: int
    said: str  # for people: "in group db-users"
    on_full: str = QUEUE


@dataclass(frozen=True, slots=True)
class Bucket:
    """At most `starts` at once, one more every `per_s / starts` seconds."""

    said: str
    starts: int
    per_s: float
    now: datetime
    full_at: datetime | None = None  # None: it was never touched

    @property
    def each(self) -> timedelta:
        return timedelta(seconds=self.per_s / self.starts)

    def opens_at(self) -> datetime:
        """When the next start is free; in the past while one is."""
        if self.full_at is None:
            return self.now
        return self.full_at - self.each * (self.starts - 1)

    def is_open(self) -> bool:
        return self.opens_at() <= self.now

    def taken(self, count: int = 1) -> Bucket:
        base = self.now if self.full_at is None else max(self.full_at, self.now)
        return replace(self, full_at=base + self.each * count)


class Gate:
    """What groups and buckets still give, as a plan is written."""

    def __init__(
        self, running: Mapping[str, int], buckets: Mapping[str, Bucket]
    ) -> None:
        self.running = dict(running)
        self.buckets = dict(buckets)

    def closed(self, wanted: QueueClass) -> Blocked | None:
        """Why a run of the class may not start now, however much room there is."""
        for cap in wanted.caps:
            running = self.running.get(cap.name, 0)
            if running >= cap.most:
                text = f"{running} of {cap.most} running {cap.said}"
                return Blocked(f"group:{cap.on_full}", text)
        shut = [self.buckets[n] for n in wanted.rates if not self.buckets[n].is_open()]
        if not shut:
            return None
        last = max(shut, key=Bucket.opens_at)
        at = last.opens_at()
        text = (
            f"{last.starts} starts in {last.per_s:g} s are used {last.said}; "
            f"the next is free at {at:%Y-%m-%dT%H:%M:%S}Z"
        )
        return Blocked(f"rate:{at:%H%M%S}", text, until=at)

    def closed_to(self, wanted: QueueClass, count: int) -> Blocked | None:
        """The same for `count` runs of the class that start together."""
        trial = self.copy()
        for _ in range(count):
            if (why := trial.closed(wanted)) is not None:
                return why
            trial.take(wanted)
        return None

    def copy(self) -> Gate:
        return Gate(self.running, self.buckets)

    def take(self, wanted: QueueClass) -> None:
        for cap in wanted.caps:
            self.running[cap.name] = self.running.get(cap.name, 0) + 1
        for name in wanted.rates:
            self.buckets[name] = self.buckets[name].taken()
