"""Write a planned move: one transaction, one version up, one event, one undo token."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents.http import iso
from scheduling import books, frames, schedules
from scheduling.models import Occurrence, Schedule, new_uid
from scheduling.move_plans import Plan, as_moved
from scheduling.move_targets import find_target
from scheduling.schedule_undo import Undoable
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK, key_of

PASSED = "the series was moved, and its new time had passed"
CARRIED = "moved along to the new series"


def apply_plan(plan: Plan, *, actor: str, now: datetime) -> str:
    """Returns the undo token. Raises ChangedMeanwhile when the schedule, and
    NotAllowedNow when the occurrence, is no longer what the plan saw."""
    target = plan.target
    with transaction.atomic():
        row = schedules.locked(target.schedule.uid)
        schedules.check_version(row, target.schedule.version)
        find_target(target.occurrence_id, now)
        before = Undoable(f"move of {row}", row)
        match plan.scope:
            case "this":
                _put(plan, row, before, actor, now)
            case "following":
                _split(plan, row, before, actor, now)
            case "all":
                _shift_all(plan, row, before, actor, now)
        target.schedule.version = row.version
        return before.keep(actor=actor, now=now)


def _put(
    plan: Plan, row: Schedule, before: Undoable, actor: str, now: datetime
) -> None:
    """The one occurrence stands elsewhere; its id and key stay."""
    target, wish = plan.target, plan.wish
    occurrence = target.row or Occurrence(
        schedule=row, key=target.key, nominal_at=target.nominal_at, state="planned"
    )
    if target.row is not None:
        before.row(occurrence)
    else:
        before.made_rows.append(occurrence)
    occurrence.due_at, occurrence.moved = wish.start, True
    if wish.timeout_s is not None:
        occurrence.timeout_s = wish.timeout_s
    if wish.node is not None:
        occurrence.node = wish.node
    occurrence.save()
    before.only_this = True
    if target.is_one_off:
        row.rule = plan.series["rule"]
        row.cursor_at = max(row.cursor_at, wish.start, target.nominal_at)
    schedules.save(row)
    where = {"node": wish.node.name} if wish.node is not None else {}
    schedules.tell(
        "occurrence.moved",
        row,
        actor,
        now,
        occurrence=target.occurrence_id,
        before=iso(target.due_at),
        after=iso(wish.start),
        timeout_s=occurrence.timeout_s,
        **where,
    )


def _shift_all(
    plan: Plan, row: Schedule, before: Undoable, actor: str, now: datetime
) -> None:
    """The rule itself moves; what was decided stays decided."""
    before.timing, before.shifted_by = True, plan.step
    carried = list(books.planned_rows(row).filter(due_at__gt=now))
    _lay_over(row, plan.series)
    frames.shift_cursor(row, plan.step)
    books.close(row, outcome="skipped", reason=PASSED, actor=actor, now=now)
    for occurrence in carried:
        _carry(occurrence, row, plan, before, now)
    schedules.save(row)
    schedules.tell("schedule.moved", row, actor, now, **_told(plan))


def _split(
    plan: Plan, row: Schedule, before: Undoable, actor: str, now: datetime
) -> None:
    """Two series: the old one ends before the boundary, the new one begins with it."""
    boundary = plan.target.nominal_at
    made = as_moved(row, plan.series | _fresh(plan, row, actor, now))
    if row.max_runs is not None:
        ahead = timetable_of(row).count(row.cursor_at, boundary - TICK)
        made.max_runs = max(1, row.max_runs - row.fired_count - ahead)
    carried = [
        occurrence
        for occurrence in books.planned_rows(row).filter(nominal_at__gte=boundary)
        if occurrence.key != plan.target.key
    ]
    before.timing, before.shifted_by = True, timedelta()
    row.end_at = boundary
    if plan.target.row is not None:
        before.row(plan.target.row)
        books.drop(plan.target.row, outcome="skipped", reason=CARRIED, now=now)
    made.save()
    for occurrence in carried:
        _carry(occurrence, made, plan, before, now)
    schedules.save(made)
    schedules.save(row)
    if row.next_due_at is None and row.paused_at is None and row.enabled:
        row.ended_at = now  # nothing is left before the boundary
        row.save(update_fields=["ended_at"])
    plan.made = before.made_schedule = made
    schedules.tell("schedule.split", row, actor, now, into=made.uid, **_told(plan))
    schedules.tell("schedule.created", made, actor, now, split_from=row.uid)


def _fresh(plan: Plan, row: Schedule, actor: str, now: datetime) -> dict[str, Any]:
    """What the new half does not take over."""
    return {
        "uid": new_uid(),
        "version": 0,
        "split_from_id": row.pk,
        "cursor_at": plan.boundary_after - TICK,
        "fired_count": 0,
        "created_at": now,
        "created_by": actor,
    }


def _lay_over(row: Schedule, columns: dict[str, Any]) -> None:
    for name, value in columns.items():
        setattr(row, name, value)


def _carry(
    occurrence: Occurrence, into: Schedule, plan: Plan, before: Undoable, now: datetime
) -> None:
    """An occurrence that was put elsewhere by hand stays there when its series moves;
    the instant it stands for is the moved one."""
    assert occurrence.nominal_at is not None, "only timed occurrences are moved"
    nominal = frames.later(into, occurrence.nominal_at, plan.step)
    before.row(occurrence)
    due_at, moved = occurrence.due_at, occurrence.moved
    if occurrence.key == plan.target.key:
        due_at, moved = timetable_of(into).due(nominal), False
    books.drop(occurrence, outcome="skipped", reason=CARRIED, now=now)
    made = Occurrence.objects.filter(schedule=into, key=key_of(nominal)).first()
    if made is not None:
        return
    before.made_rows.append(
        Occurrence.objects.create(
            schedule=into,
            key=key_of(nominal),
            nominal_at=nominal,
            due_at=due_at,
            state="planned",
            moved=moved,
            timeout_s=occurrence.timeout_s,
            node=occurrence.node,
        )
    )


def _told(plan: Plan) -> dict[str, Any]:
    return {
        "rule_before": plan.rule_before,
        "rule_after": plan.rule_after,
        "before": iso(plan.target.due_at),
        "after": iso(plan.wish.start),
        "scope": plan.scope,
    }
