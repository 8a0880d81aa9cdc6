"""Cron in a time zone: which instants a rule of local times names (DST included).

Between two changes of the zone's offset local time is a ruler, and cron is simple.
So the walk goes stretch by stretch: stretches that exist once, the gap before some of
them, and what the second pass of a repeated hour adds, by the policy of the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from scheduling.triggers.base import SECOND, TICK
from scheduling.triggers.cron_rule import parse
from scheduling.triggers.local_rule import LocalRule
from scheduling.triggers.zones import (
    Change,
    changes_from,
    last_change,
    local,
    offset_at,
)

Dst = Literal["", "once", "both", "skip"]
FOREVER = datetime.combine(date(9000, 1, 1), time())  # naive; later than any other


@dataclass(frozen=True, slots=True)
class Stretch:
    """Local times [low, high) that lie at `offset`; or, with `gap_at`, that are
    skipped: all of them together stand for that one instant."""

    low: datetime
    high: datetime
    offset: timedelta
    gap_at: datetime | None = None


@dataclass(frozen=True)
class CronTrigger:
    """Fixed local times fire once in a repeated hour, and at the first instant after
    a gap; a rule that repeats within the day fires in every real hour. `dst` says
    otherwise: once, both, or skip (times that are missing or come twice are left out).
    """

    rule: LocalRule
    zone: ZoneInfo
    dst: Dst = ""

    @property
    def repeated(self) -> Literal["once", "both", "skip"]:
        if self.dst:
            return self.dst
        return "both" if self.rule.repeats_within_the_day else "once"

    @property
    def fires_after_a_gap(self) -> bool:
        return self.dst != "skip" and not self.rule.repeats_within_the_day

    def next_after(self, moment: datetime) -> datetime | None:
        known_from, known = FOREVER, None  # the answer next_local gave, and for what
        for stretch in self._stretches(moment):
            if known is None or not known_from <= stretch.low <= known:
                known_from, known = stretch.low, self.rule.next_local(stretch.low)
            if known is None:
                return None
            if known < stretch.high:
                return stretch.gap_at or _instant(known, stretch.offset)
        return None

    def count(self, after: datetime, until: datetime) -> int:
        found = 0
        shift = timedelta()
        for stretch in self._stretches(after):
            end = (until.astimezone(UTC) + TICK).replace(tzinfo=None) + stretch.offset
            if stretch.gap_at is not None:
                if stretch.gap_at > until:
                    break
                counted = self.rule.count_local(stretch.low, stretch.high) > 0
                shift = SECOND if counted else timedelta()  # it may match by itself
                found += counted
                continue
            low, shift = stretch.low + shift, timedelta()
            found += self.rule.count_local(low, min(stretch.high, end))
            if end <= stretch.high:
                break
        return found

    def _stretches(self, moment: datetime) -> Iterator[Stretch]:
        """What lies strictly after `moment`, in order."""
        offset = offset_at(self.zone, moment)
        low = local(self.zone, moment).replace(microsecond=0) + SECOND
        before = last_change(self.zone, moment)
        if before is not None and not before.is_gap and self.repeated != "both":
            low = max(low, before.stretch[1])
        for change in changes_from(self.zone, moment):
            first, last = change.stretch
            both_left_out = not change.is_gap and self.repeated == "skip"
            high = first if change.is_gap or both_left_out else last
            if low < high:
                yield Stretch(low, high, offset)
            if change.is_gap and self.fires_after_a_gap:
                yield Stretch(first, last, offset, gap_at=change.at)
            twice = not change.is_gap and self.repeated == "both"
            low = first if twice else last
            offset = change.after
        yield Stretch(low, FOREVER, offset)


def _instant(shown: datetime, offset: timedelta) -> datetime:
    return (shown - offset).replace(tzinfo=UTC)


def cron_trigger(
    text: str, zone: ZoneInfo, *, dst: Dst = "", shift_s: int = 0
) -> CronTrigger:
    """Raises cron_rule.CronError when the expression cannot be taken."""
    rule = replace(parse(text), shift=timedelta(seconds=shift_s))
    return CronTrigger(rule, zone, dst)


def touched_by(trigger: CronTrigger, change: Change) -> bool:
    """Whether a change of the clocks leaves out or repeats times of the rule."""
    low, high = change.stretch
    return trigger.rule.count_local(low, high) > 0
