"""Windows of time in which runs may not start, or alone may: interval arithmetic.

A window is open in half-open stretches: once from one instant to another, or after
each firing of a rule for a fixed length. Stretches that touch or overlap are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from scheduling.triggers.base import TICK
from scheduling.triggers.timetable import Timetable

FARTHEST = timedelta(days=32)  # a recurring stretch that is longer never ends
MOST_STEPS = 1_000  # from one stretch to the next, looking for a free instant


@dataclass(frozen=True, slots=True)
class Stretch:
    """[start, end); end None: it never ends."""

    start: datetime
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


class Rule(Protocol):
    """When a window is open."""

    def covering(self, at: datetime) -> Stretch | None:
        """The whole stretch that holds the instant."""
        ...

    def next_start(self, after: datetime) -> datetime | None:
        """When it opens next, strictly after the instant."""
        ...


@dataclass(frozen=True)
class Once:
    from_at: datetime
    to_at: datetime

    def covering(self, at: datetime) -> Stretch | None:
        stretch = Stretch(self.from_at, self.to_at)
        return stretch if stretch.holds(at) else None

    def next_start(self, after: datetime) -> datetime | None:
        return self.from_at if self.from_at > after else None


@dataclass(frozen=True)
class Recurring:
    """Open for `length` after each firing."""

    timetable: Timetable
    length: timedelta
    known: list[Stretch] = field(default_factory=list, compare=False)  # the last found

    def covering(self, at: datetime) -> Stretch | None:
        if self.known and self.known[0].holds(at):
            return self.known[0]
        if (last := self._last(at - self.length, at)) is None:
            return None
        self.known[:] = [Stretch(self._beginning(last), self._end(last))]
        return self.known[0]

    def next_start(self, after: datetime) -> datetime | None:
        return self.timetable.next_after(after)

    def _last(self, after: datetime, until: datetime) -> datetime | None:
        """The newest firing in (after, until]."""
        found = self.timetable.last(after, until, at_most=1)
        return found[0] if found else None

    def _end(self, firing: datetime) -> datetime | None:
        """Firings that begin before the stretch ends make it longer."""
        latest = firing
        while latest - firing < FARTHEST:
            later = self._last(latest, latest + self.length)
            if later is None:
                return latest + self.length
            latest = later
        return None

    def _beginning(self, firing: datetime) -> datetime:
        first = firing
        while firing - first < FARTHEST:
            window = (first - self.length - TICK, first - TICK)
            before = self.timetable.between(*window, at_most=1)
            if not before:
                break
            first = before[0]
        return first


def stretches(
    rule: Rule, start: datetime, end: datetime, *, at_most: int
) -> list[Stretch]:
    """The stretches that reach into [start, end), in order."""
    found = [stretch] if (stretch := rule.covering(start)) else []
    at = start if not found else found[-1].end
    while at is not None and len(found) < at_most:
        opens = rule.next_start(at - TICK)
        if opens is None or opens >= end:
            break
        stretch = rule.covering(opens)
        assert stretch is not None, "it has just opened"
        found.append(stretch)
        at = stretch.end
    return found


def is_barred(closed: Sequence[Rule], allowed: Sequence[Rule], at: datetime) -> bool:
    """Whether nothing may start: in a closed window, or outside all allowed ones."""
    if any(rule.covering(at) for rule in closed):
        return True
    return bool(allowed) and not any(rule.covering(at) for rule in allowed)


def free_after(
    closed: Sequence[Rule], allowed: Sequence[Rule], at: datetime
) -> datetime | None:
    """The first instant from `at` on that is not barred; None: none was found."""
    for _ in range(MOST_STEPS):
        held = [s for rule in closed if (s := rule.covering(at))]
        if held:
            ends = [s.end for s in held if s.end is not None]
            if len(ends) < len(held):
                return None
            at = max(ends)
        elif allowed and not any(rule.covering(at) for rule in allowed):
            opens = [o for rule in allowed if (o := rule.next_start(at))]
            if not opens:
                return None
            at = min(opens)
        else:
            return at
    return None
