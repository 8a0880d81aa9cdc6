"""When a schedule fires. Triggers are values: no clock, no database, no network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)  # the smallest step between two instants


class Trigger(Protocol):
    def next_after(self, moment: datetime) -> datetime | None:
        """The first firing strictly after `moment` (aware), in UTC; None: never."""
        ...

    def count(self, after: datetime, until: datetime) -> int:
        """How many firings lie in (after, until], without walking each of them."""
        ...


def firings(
    trigger: Trigger, after: datetime, until: datetime, *, at_most: int
) -> list[datetime]:
    """The first `at_most` firings in (after, until], in order."""
    found: list[datetime] = []
    moment: datetime | None = after
    while len(found) < at_most and moment is not None:
        moment = trigger.next_after(moment)
        if moment is None or moment > until:
            break
        found.append(moment)
    return found


def last_firings(
    trigger: Trigger, after: datetime, until: datetime, *, at_most: int
) -> list[datetime]:
    """The newest `at_most` firings in (after, until], in order.

    The instant to walk from is found by bisection over the count, so a month of
    seconds costs as much as a minute of them.
    """
    if trigger.count(after, until) <= at_most:
        return firings(trigger, after, until, at_most=at_most)
    early, late = after, until  # more than at_most after `early`, fewer after `late`
    while late - early > SECOND:
        middle = early + (late - early) / 2
        if trigger.count(middle, until) > at_most:
            early = middle
        else:
            late = middle
    return firings(trigger, early, until, at_most=at_most + 2)[-at_most:]


def key_of(nominal: datetime) -> str:
    """The key of an occurrence: "20261123T090000Z", the nominal instant in UTC."""
    utc = nominal.astimezone(UTC)
    fraction = f".{utc.microsecond:06d}" if utc.microsecond else ""
    return f"{utc:%Y%m%dT%H%M%S}{fraction}Z"


def instant_of(key: str) -> datetime | None:
    """The nominal instant a key names; None when it is not such a key."""
    form = "%Y%m%dT%H%M%S.%fZ" if "." in key else "%Y%m%dT%H%M%SZ"
    try:
        found = datetime.strptime(key, form).replace(tzinfo=UTC)
    except ValueError:
        return None
    return found if key_of(found) == key else None
