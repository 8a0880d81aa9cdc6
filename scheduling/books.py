"""What became of each instant: the rows and gaps that say so, and when the next is due.

`cursor_at` of a schedule parts what is decided from what is to come. Whoever moves it
forward writes down here what happened to the instants it passes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from agents import journal
from agents.http import iso
from scheduling.kinds import KINDS
from scheduling.models import Gap, Occurrence, Schedule
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK, key_of
from scheduling.triggers.missed import Passed, all_due
from scheduling.triggers.timetable import Timetable

LONGEST_REASON = 300  # the column's width


def occurrence_id(schedule: Schedule, key: str) -> str:
    return f"{schedule.uid}@{key}"


def entry(
    kind: str, schedule: Schedule, actor: str, now: datetime, **data: Any
) -> journal.Entry:
    """An event about a schedule or one of its occurrences."""
    data = {"agent": schedule.agent.agent_id, **data}
    if schedule.graph:
        data = {"graph": schedule.graph, **data}
    return journal.Entry(kind, f"schedule:{schedule.uid}", actor, now, data)


def pass_over(
    schedule: Schedule, passed: Passed, *, outcome: str, actor: str, now: datetime
) -> None:
    """Write down instants after the cursor that will not run: one row, or one gap for
    several. Instants that have a row of their own are not among them.

    A gap that goes on with the same outcome and reason is made longer.
    """
    found = _without_rows(schedule, passed)
    if found is None:
        return
    passed = found
    reason = passed.reason[:LONGEST_REASON]
    data = {"count": passed.count, "reason": reason}
    data |= {"from_at": iso(passed.from_at), "to_at": iso(passed.to_at)}
    journal.record_many([entry(f"occurrence.{outcome}", schedule, actor, now, **data)])
    if _lengthened(schedule, passed, outcome, reason):
        return
    if passed.count == 1:
        Occurrence.objects.create(
            schedule=schedule,
            key=key_of(passed.from_at),
            nominal_at=passed.from_at,
            due_at=timetable_of(schedule).due(passed.from_at),
            state=outcome,
            reason=reason,
            decided_at=now,
        )
        return
    Gap.objects.create(
        schedule=schedule,
        from_at=passed.from_at,
        to_at=passed.to_at,
        count=passed.count,
        outcome=outcome,
        reason=reason,
        recorded_at=now,
    )


def _without_rows(schedule: Schedule, passed: Passed) -> Passed | None:
    """What is left when instants that were moved, or ran early, are taken out."""
    known = Occurrence.objects.filter(
        schedule=schedule,
        key__gte=key_of(passed.from_at),
        key__lte=key_of(passed.to_at),
    ).count()
    if passed.count > known + 1:
        return replace(passed, count=passed.count - known)
    if passed.count == known:
        return None
    if not known:
        return passed
    only = next_free(schedule, timetable_of(schedule), passed.from_at - TICK)
    if only is None or only > passed.to_at:
        return None
    return Passed(only, only, 1, passed.reason)


def _lengthened(schedule: Schedule, passed: Passed, outcome: str, reason: str) -> bool:
    """Whether the schedule's last gap could take the instants in."""
    last = Gap.objects.filter(schedule=schedule).order_by("-id").first()
    if last is None or (last.outcome, last.reason) != (outcome, reason):
        return False
    if last.to_at < schedule.cursor_at:
        return False  # other instants lie between
    last.to_at, last.count = passed.to_at, last.count + passed.count
    last.save(update_fields=["to_at", "count"])
    return True


def close(
    schedule: Schedule, *, outcome: str, reason: str, actor: str, now: datetime
) -> None:
    """Decide everything that is due and undecided as `outcome`, and move the cursor
    over it. The caller saves the schedule."""
    timetable = timetable_of(schedule)
    passed = all_due(timetable, cursor_at=schedule.cursor_at, now=now, reason=reason)
    if passed is not None:
        pass_over(schedule, passed, outcome=outcome, actor=actor, now=now)
        schedule.cursor_at = passed.to_at
    for row in planned_rows(schedule).filter(due_at__lte=now):
        drop(row, outcome=outcome, reason=reason, now=now)
        data = {"occurrence": occurrence_id(schedule, row.key), "reason": reason}
        journal.record_many(
            [entry(f"occurrence.{outcome}", schedule, actor, now, **data)]
        )


def drop(row: Occurrence, *, outcome: str, reason: str, now: datetime) -> None:
    """A planned row that will not run after all."""
    row.state, row.reason, row.decided_at = outcome, reason[:LONGEST_REASON], now
    row.save(update_fields=["state", "reason", "decided_at"])


def planned_rows(schedule: Schedule) -> Any:
    """Moved occurrences that are still to come; not those that wait for a run."""
    return Occurrence.objects.filter(
        schedule=schedule, state="planned", decided_at=None
    )


def next_free(
    schedule: Schedule, timetable: Timetable, after: datetime
) -> datetime | None:
    """The next nominal instant that no row has taken (moved, or already run)."""
    nominal = timetable.next_after(after)
    while nominal is not None:
        taken = Occurrence.objects.filter(schedule=schedule, key=key_of(nominal))
        if not taken.exists():
            return nominal
        nominal = timetable.next_after(nominal)
    return None


def pause_reason(schedule: Schedule) -> str:
    note = schedule.paused_note
    return f"paused by {schedule.paused_by}" + (f": {note}" if note else "")


def runs_left(schedule: Schedule) -> bool:
    return schedule.max_runs is None or schedule.fired_count < schedule.max_runs


def is_over(schedule: Schedule) -> bool:
    """Whether a schedule that nothing is due of any more has ended for good."""
    if schedule.paused_at is not None:
        return False
    return KINDS[schedule.kind].timed or not runs_left(schedule)


def next_due(schedule: Schedule) -> datetime | None:
    """When the schedule wants to be looked at next; None: not before it is changed."""
    if schedule.ended_at is not None or not schedule.enabled:
        return None
    if schedule.paused_at is not None:
        return schedule.paused_until
    if not runs_left(schedule):
        return None
    moved = planned_rows(schedule).order_by("due_at").first()
    timetable = timetable_of(schedule)
    nominal = next_free(schedule, timetable, schedule.cursor_at)
    dues = [timetable.due(nominal)] if nominal is not None else []
    return min(dues + ([moved.due_at] if moved is not None else []), default=None)
