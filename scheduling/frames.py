"""A whole series moved in time: its cursor moves with it.

The cursor says which occurrences are decided. When each occurrence is moved by the
same step, the ones that were decided must stay so at their new instants, or the move
would run some twice; and those still open must not be lost.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduling.kinds import KINDS
from scheduling.models import Schedule
from scheduling.triggers.zones import first_instant, local


def later(schedule: Schedule, moment: datetime, by: timedelta) -> datetime:
    """`moment` moved as the series moves: most by what clocks show, others
    in absolute time."""
    if not KINDS[schedule.kind].by_clocks:
        return moment + by
    zone = ZoneInfo(schedule.timezone)
    return first_instant(zone, local(zone, moment) + by)


def shift_cursor(schedule: Schedule, by: timedelta) -> None:
    """Move the cursor with the series. The caller saves."""
    schedule.cursor_at = later(schedule, schedule.cursor_at, by)


def step(schedule: Schedule, old: datetime, new: datetime) -> timedelta:
    """How far a series moves when its occurrence at `old` goes to `new`."""
    if not KINDS[schedule.kind].by_clocks:
        return new - old
    zone = ZoneInfo(schedule.timezone)
    return local(zone, new) - local(zone, old)
