"""What to do with the instants that have come due: run them, or pass over them.

Normally that is one instant, milliseconds old. After a sleep it may be a month of
seconds: those we pass over are counted, not walked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from scheduling.triggers.base import TICK
from scheduling.triggers.spans import span
from scheduling.triggers.timetable import Timetable

Missed = Literal["skip", "latest", "all"]
ALL_AT_MOST = 100  # a year asleep must not wake up as 500 000 runs
ON_TIME = timedelta(seconds=60)  # later than this is missed: a restart is quicker


@dataclass(frozen=True, slots=True)
class Passed:
    """Consecutive nominal instants that will not run."""

    from_at: datetime
    to_at: datetime
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """Every nominal instant up to `cursor_at` is in `run` or in `passed`."""

    run: tuple[datetime, ...]
    passed: Passed | None
    cursor_at: datetime


def take_due(
    timetable: Timetable,
    *,
    cursor_at: datetime,
    now: datetime,
    missed: Missed,
    catchup_window_s: float,
) -> Due:
    """Split what came due after `cursor_at` by the rule for those we slept through.

    An instant is late when it was due more than ON_TIME ago. While none is late, all
    run. Otherwise "skip" runs only those on time, "latest" the newest alone, "all" the
    newest ALL_AT_MOST; and nothing runs that is older than the catch-up window.
    """
    first, newest, count = due_instants(timetable, cursor_at, now)
    if not count:
        return Due((), None, cursor_at)
    window = max(timedelta(seconds=catchup_window_s), ON_TIME)
    run = kept(timetable, newest, count, now=now, missed=missed, window=window)
    if len(run) == count:
        return Due(tuple(run), None, newest[-1])
    to_at = last_before(timetable, cursor_at, run[0]) if run else newest[-1]
    passed = Passed(first[0], to_at, count - len(run), said(missed, window))
    return Due(tuple(run), passed, newest[-1])


def all_due(
    timetable: Timetable, *, cursor_at: datetime, now: datetime, reason: str
) -> Passed | None:
    """Everything that came due after `cursor_at`, to be passed over as one."""
    first, newest, count = due_instants(timetable, cursor_at, now)
    return Passed(first[0], newest[-1], count, reason) if count else None


def due_instants(
    timetable: Timetable, cursor_at: datetime, now: datetime
) -> tuple[list[datetime], list[datetime], int]:
    """The oldest and the newest due instants (ALL_AT_MOST of each), and how many."""
    first = due_prefix(timetable, cursor_at, now, at_most=ALL_AT_MOST + 1)
    if len(first) <= ALL_AT_MOST:
        return first, first, len(first)
    newest = newest_due(timetable, cursor_at, now)
    return first, newest, timetable.count(cursor_at, newest[-1])


def due_prefix(
    timetable: Timetable, cursor_at: datetime, now: datetime, *, at_most: int
) -> list[datetime]:
    """The first nominal instants whose start, jitter included, has come."""
    found = []
    for nominal in timetable.between(cursor_at, now, at_most=at_most):
        if timetable.due(nominal) > now:
            break
        found.append(nominal)
    return found


def newest_due(
    timetable: Timetable, cursor_at: datetime, now: datetime
) -> list[datetime]:
    """The newest ALL_AT_MOST instants that are due, in order."""
    certain = now - timedelta(seconds=timetable.jitter_s)
    recent = due_prefix(timetable, max(certain, cursor_at), now, at_most=ALL_AT_MOST)
    before = timetable.last(cursor_at, certain, at_most=ALL_AT_MOST)
    return (before + recent)[-ALL_AT_MOST:]


def last_before(timetable: Timetable, after: datetime, moment: datetime) -> datetime:
    return timetable.last(after, moment - TICK, at_most=1)[0]


def kept(
    timetable: Timetable,
    newest: list[datetime],
    count: int,
    *,
    now: datetime,
    missed: Missed,
    window: timedelta,
) -> list[datetime]:
    on_time = [n for n in newest if now - timetable.due(n) <= ON_TIME]
    if missed == "skip" or len(on_time) == count:
        return on_time
    most = 1 if missed == "latest" else ALL_AT_MOST
    return [n for n in newest[-most:] if now - timetable.due(n) <= window]


def said(missed: Missed, window: timedelta) -> str:
    why = "the scheduler did not run then"
    if missed == "skip":
        return f"{why}; this schedule skips what it missed"
    made_up = "the latest is" if missed == "latest" else f"{ALL_AT_MOST} are"
    return f"{why}; at most {made_up} made up for, and only of the last {span(window)}"
