"""Where a zone's clock jumps: the changes of its offset, found once per zone and year.

zoneinfo tells the offset at an instant but not when it changes, so we probe every few
days and bisect to the second. Nothing else in the product looks at offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

PROBE = timedelta(days=3)  # shorter than any zone kept an offset since 1970
KNOWN_UNTIL = 2040  # a zone without a change up to here has none at all
LAST_YEAR = 3000


@dataclass(frozen=True, slots=True)
class Change:
    """At `at` the zone's offset goes from `before` to `after`."""

    at: datetime  # aware, UTC: the first instant with the later offset
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        """Local times are left out; otherwise they come twice."""
        return self.after > self.before

    @property
    def stretch(self) -> tuple[datetime, datetime]:
        """The local times (naive, [from, to)) that are missing or come twice."""
        shown = self.at.replace(tzinfo=None)
        low, high = sorted((shown + self.before, shown + self.after))
        return low, high


def offset_at(zone: ZoneInfo, moment: datetime) -> timedelta:
    found = moment.astimezone(zone).utcoffset()
    assert found is not None, "a ZoneInfo always has an offset"
    return found


def local(zone: ZoneInfo, moment: datetime) -> datetime:
    """What the zone's clocks show at `moment`, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None)


def first_instant(zone: ZoneInfo, shown: datetime) -> datetime:
    """The first instant at which the zone's clocks show `shown` (naive); where they
    skip it, the first instant after the gap."""
    earlier = shown.replace(tzinfo=zone, fold=0)
    found = earlier.astimezone(UTC)
    if local(zone, found) == shown:
        return found
    change = last_change(zone, found)
    assert change is not None, "a time that is not shown lies in a gap"
    return change.at


def last_change(zone: ZoneInfo, moment: datetime) -> Change | None:
    """The change at or before `moment`, if it is recent enough to matter to it."""
    recent = moment - timedelta(days=2)
    inside = [c for c in _around(zone, moment.year) if recent < c.at <= moment]
    return inside[-1] if inside else None


def changes_from(zone: ZoneInfo, moment: datetime) -> Iterator[Change]:
    """Every change after `moment`, in order."""
    for year in range(moment.year, LAST_YEAR):
        for change in changes_in(zone, year):
            if change.at > moment:
                yield change
        if year >= max(KNOWN_UNTIL, moment.year + 1) and not _around(zone, year):
            return


def _around(zone: ZoneInfo, year: int) -> tuple[Change, ...]:
    return changes_in(zone, year - 1) + changes_in(zone, year)


@lru_cache(maxsize=4096)
def changes_in(zone: ZoneInfo, year: int) -> tuple[Change, ...]:
    """The changes within one UTC year."""
    if zone.key in ("UTC", "Etc/UTC"):
        return ()
    found = []
    moment = datetime(year, 1, 1, tzinfo=UTC)
    end = datetime(year + 1, 1, 1, tzinfo=UTC)
    while moment < end:
        probe = min(moment + PROBE, end)
        if offset_at(zone, moment) != offset_at(zone, probe):
            found.append(_bisect(zone, moment, probe))
        moment = probe
    return tuple(found)


def _bisect(zone: ZoneInfo, early: datetime, late: datetime) -> Change:
    before, after = offset_at(zone, early), offset_at(zone, late)
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if offset_at(zone, middle) == before:
            early = middle
        else:
            late = middle
    return Change(late, before, after)
