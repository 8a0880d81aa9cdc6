"""What schedules will do in a window of time: instants that have no run yet.

Where an instant has a row (it was moved, skipped, or ran early) the row says what
becomes of it; all others are computed from the rule. A rule is walked once for a
stretch of time and remembered, since walking a cron rule costs more than anything
else here; one with very many instants is only counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from scheduling.models import Occurrence, Schedule
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK, key_of
from scheduling.triggers.timetable import Timetable

MOST_WALKED = 400  # instants of one schedule in one window; more are a band
MOST_REMEMBERED = 5000  # schedules whose walk is kept
LATE = timedelta(minutes=1)  # an instant undecided for longer is not shown as to come
ALIVE = Q(
    ended_at=None, enabled=True, agent__enabled=True, agent__retired_at=None
)  # schedules that fire
COLUMNS = (
    *(
        "id",
        "uid",
        "agent_id",
        "graph",
        "version",
        "kind",
        "rule",
        "anchor_at",
        "shift_s",
    ),
    *("timezone", "dst", "start_at", "end_at", "jitter_s", "exdates", "max_runs"),
    *("place", "calendar", "calendars_stamp"),
    *("fired_count", "cursor_at", "paused_at", "paused_until", "priority", "timeout_s"),
)


class Planned(NamedTuple):
    """One instant to come. `node_id`: where it was dropped, if anywhere."""

    key: str
    due_at: datetime
    moved: bool = False
    node_id: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """A schedule's instants in the window: all of them, or how many when too many."""

    schedule: Schedule
    count: int
    instants: tuple[Planned, ...] = ()
    first_at: datetime | None = None  # of a band
    last_at: datetime | None = None

    @property
    def is_band(self) -> bool:
        return not self.instants and self.count > 0


@dataclass(frozen=True, slots=True)
class Walk:
    """The instants of a timetable in (after, until], walked once."""

    timetable: Timetable
    after: datetime
    until: datetime
    nominals: tuple[datetime, ...] = ()
    instants: tuple[Planned, ...] = ()  # what each of them becomes

    def between(self, after: datetime, until: datetime) -> tuple[Planned, ...]:
        low = bisect_right(self.nominals, after)
        return self.instants[low : bisect_right(self.nominals, until)]

    def longer(self, until: datetime, at_most: int) -> Walk:
        more = self.timetable.between(self.until, until, at_most=at_most)
        due = (Planned(key_of(at), self.timetable.due(at)) for at in more)
        nominals, instants = (*self.nominals, *more), (*self.instants, *due)
        return Walk(self.timetable, self.after, until, nominals, instants)


_walks: dict[str, Walk] = {}


def outlooks(
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    agents: Collection[int] | None = None,
    most_walked: int = MOST_WALKED,
) -> list[Outlook]:
    """What every schedule that fires will do in [start, end)."""
    if end <= now - LATE:
        return []
    schedules = Schedule.objects.filter(ALIVE).only(*COLUMNS)
    if agents is not None:
        schedules = schedules.filter(agent_id__in=list(agents))
    rows = rows_by_schedule(start, end, now=now)
    found = []
    for schedule in schedules:
        outlook = outlook_of(
            schedule,
            start,
            end,
            now=now,
            rows=rows.get(schedule.pk, []),
            most_walked=most_walked,
        )
        if outlook.count:
            found.append(outlook)
    return found


def rows_by_schedule(
    start: datetime, end: datetime, *, now: datetime
) -> dict[int, list[Occurrence]]:
    """Rows about instants to come: moved ones, and those decided before their time."""
    rows: dict[int, list[Occurrence]] = {}
    ahead = max(start, now - LATE)
    known = Q(state="planned") | Q(nominal_at__gt=ahead, nominal_at__lte=end)
    for row in Occurrence.objects.filter(known):
        rows.setdefault(row.schedule_id, []).append(row)
    return rows


def outlook_of(
    schedule: Schedule,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    rows: Collection[Occurrence],
    most_walked: int,
) -> Outlook:
    after = first_undecided(schedule, start, now)
    left = None
    if schedule.max_runs is not None:
        left = max(schedule.max_runs - schedule.fired_count, 0)
    if after is None or left == 0:
        return Outlook(schedule, 0)
    moved = tuple(planned_rows(rows, start, end, now))
    timetable = timetable_of(schedule)
    instants = walked(schedule.uid, timetable, after, end - TICK, most_walked)
    if instants is None:
        count = timetable.count(after, end - TICK) + len(moved)
        first = timetable.next_after(after)
        return Outlook(schedule, min(count, left or count), (), first, end)
    if rows:
        taken = {row.key for row in rows}
        fresh = (one for one in instants if one.key not in taken)
        instants = tuple(sorted((*moved, *fresh), key=lambda one: one.due_at))
    instants = instants[:left]
    return Outlook(schedule, len(instants), instants)


def first_undecided(
    schedule: Schedule, start: datetime, now: datetime
) -> datetime | None:
    """The instants after this one are still to come; None: it is paused for good."""
    after = max(schedule.cursor_at, start - TICK, now - LATE)
    if schedule.paused_at is None:
        return after
    if schedule.paused_until is None:
        return None
    return max(after, schedule.paused_until - TICK)


def planned_rows(
    rows: Collection[Occurrence], start: datetime, end: datetime, now: datetime
) -> Iterator[Planned]:
    for row in rows:
        if row.state == "planned" and max(start, now - LATE) <= row.due_at < end:
            yield Planned(row.key, row.due_at, row.moved, row.node_id, row.timeout_s)


def walked(
    uid: str, timetable: Timetable, after: datetime, until: datetime, most: int
) -> tuple[Planned, ...] | None:
    """What is planned in (after, until]; None when it is more than `most`.

    What was walked is kept, and a window that is a little later only walks its end.
    """
    if after >= until:
        return ()
    walk = _walks.get(uid)
    if walk is None or not continues(walk, timetable, after, most):
        walk = Walk(timetable, after, after)
    if until > walk.until:
        if timetable.count(after, until) > most:
            return None
        walk = walk.longer(until, most + 1)
        if len(_walks) >= MOST_REMEMBERED:
            _walks.clear()
        _walks[uid] = walk
    found = walk.between(after, until)
    return found if len(found) <= most else None


def continues(walk: Walk, timetable: Timetable, after: datetime, most: int) -> bool:
    """The window begins inside the walk, the rule is the same, and it is not long."""
    inside = walk.after <= after <= walk.until
    return walk.timetable is timetable and inside and len(walk.instants) <= 4 * most
