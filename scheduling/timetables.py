"""From a Schedule row to the pure value it fires by. Nothing else reads its rule."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from scheduling.models import Schedule
from scheduling.triggers.base import Trigger
from scheduling.triggers.cron import Dst, cron_trigger
from scheduling.triggers.interval import IntervalTrigger
from scheduling.triggers.run_at import RunAtTrigger
from scheduling.triggers.timetable import Timetable


def timetable_of(schedule: Schedule) -> Timetable:
    """The schedule's instants. Kept between calls: parsing costs more than asking.

    Raises ValueError for a row whose rule cannot be read (nothing of ours writes one).
    """
    return _build(
        schedule.uid,
        schedule.kind,
        schedule.rule,
        schedule.anchor_at,
        schedule.shift_s,
        schedule.timezone,
        cast(Dst, schedule.dst),
        schedule.start_at,
        schedule.end_at,
        schedule.jitter_s,
        tuple(schedule.exdates),
    )


@lru_cache(maxsize=4096)
def _build(
    uid: str,
    kind: str,
    rule: str,
    anchor_at: datetime | None,
    shift_s: int,
    timezone: str,
    dst: Dst,
    start_at: datetime | None,
    end_at: datetime | None,
    jitter_s: int,
    exdates: tuple[str, ...],
) -> Timetable:
    zone = ZoneInfo(timezone)
    return Timetable(
        trigger=_trigger(kind, rule, anchor_at, shift_s, zone, dst),
        zone=zone,
        start_at=start_at,
        end_at=end_at,
        without_instants=frozenset(
            datetime.fromisoformat(text) for text in exdates if "T" in text
        ),
        without_days=frozenset(
            date.fromisoformat(text) for text in exdates if "T" not in text
        ),
        jitter_s=jitter_s,
        salt=uid,
    )


def _trigger(
    kind: str,
    rule: str,
    anchor_at: datetime | None,
    shift_s: int,
    zone: ZoneInfo,
    dst: Dst,
) -> Trigger:
    match kind:
        case "cron":
            return cron_trigger(rule, zone, dst=dst, shift_s=shift_s)
        case "interval" if anchor_at is not None:
            return IntervalTrigger(anchor_at, timedelta(seconds=float(rule)))
        case "run_at":
            return RunAtTrigger(datetime.fromisoformat(rule))
    raise ValueError(f"a {kind} schedule without a rule that can be read: {rule!r}")
