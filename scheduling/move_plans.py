"""What a move comes to, worked out before anything is written.

A Plan names the columns that change and says before and after in words; a dry run
shows it, a real one writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agents.errors import Refused
from scheduling import frames
from scheduling.kinds import KINDS
from scheduling.models import Schedule
from scheduling.move_input import Scope, Wish
from scheduling.move_targets import Target
from scheduling.timetables import human, timetable_of
from scheduling.triggers.base import TICK
from scheduling.triggers.words import day_and_time

COUNTED_AHEAD = timedelta(days=30)  # how far "all" and "following" count what changes


@dataclass(slots=True)
class Plan:
    target: Target
    wish: Wish
    scope: Scope
    step: timedelta  # how far the series moves; by local clocks for cron
    series: dict[str, Any] = field(default_factory=dict)  # columns of a moved series
    made: Schedule | None = None  # the new half of a split, once it is written
    changed_count: int = 1
    rule_before: str = ""
    rule_after: str = ""
    human_before: str = ""
    human: str = ""

    @property
    def boundary_after(self) -> datetime:
        """The instant the moved occurrence stands for in the moved series."""
        return frames.later(self.target.schedule, self.target.nominal_at, self.step)


def plan_move(target: Target, wish: Wish, now: datetime) -> Plan:
    schedule = target.schedule
    if schedule.graph and (wish.end or wish.node):
        said = "a graph runs where and as long as its nodes do"
        field = "end" if wish.end else "node"
        raise Refused(f"{field}: {said}", {field: [said]})
    scope: Scope = "this" if target.is_one_off else wish.scope
    plan = Plan(target, wish, scope, step_of(target, wish))
    plan.rule_before = plan.rule_after = rule_text(schedule.kind, schedule.rule)
    plan.human_before = human(schedule)
    if scope == "this":
        _only_this(plan)
    else:
        _series(plan, now)
    return plan


def step_of(target: Target, wish: Wish) -> timedelta:
    """How far the series goes so that this occurrence's instant is where it was
    dropped; not at all when only its end was dragged."""
    if wish.start == target.due_at.replace(microsecond=0):
        return timedelta()
    return frames.step(target.schedule, target.nominal_at, wish.start)


def rule_text(kind: str, rule: str) -> str:
    return str(KINDS[kind].value(rule))


def _only_this(plan: Plan) -> None:
    target, wish = plan.target, plan.wish
    zone = timetable_of(target.schedule).zone
    if target.is_one_off:
        plan.series = {"rule": wish.start.isoformat()}
        plan.rule_after = rule_text("run_at", plan.series["rule"])
        plan.human = f"Once, on {day_and_time(wish.start, zone)}"
        return
    old, new = (day_and_time(at, zone) for at in (target.due_at, wish.start))
    plan.human = f"{plan.human_before}; only {old} goes to {new}"


def _series(plan: Plan, now: datetime) -> None:
    """The columns a moved series gets, in place or as the new half."""
    schedule = plan.target.schedule
    plan.series = moved_columns(schedule, plan.step)
    if plan.scope == "following":
        begins = plan.boundary_after
        plan.series |= {"start_at": begins}
        if KINDS[schedule.kind].beats:
            plan.series["anchor_at"] = begins
    if plan.wish.timeout_s is not None:
        plan.series["timeout_s"] = plan.wish.timeout_s
    after = as_moved(schedule, plan.series)
    plan.rule_after = rule_text(after.kind, after.rule)
    plan.human = human(after)
    first, begin = schedule.cursor_at, now
    if plan.scope == "following":
        first, begin = plan.target.nominal_at - TICK, plan.target.nominal_at
    changed = timetable_of(schedule).count(first, begin + COUNTED_AHEAD)
    plan.changed_count = max(1, changed)


def as_moved(schedule: Schedule, columns: dict[str, Any]) -> Schedule:
    """A copy in memory with other columns."""
    names = [f.attname for f in Schedule._meta.concrete_fields if not f.primary_key]
    same = {name: getattr(schedule, name) for name in names}
    return Schedule(**{**same, **columns})


def moved_columns(schedule: Schedule, step: timedelta) -> dict[str, Any]:
    """Rule and limits of the same series `step` later."""
    columns: dict[str, Any] = {
        name: frames.later(schedule, at, step)
        for name in ("start_at", "end_at")
        if (at := getattr(schedule, name)) is not None
    }
    columns["exdates"] = [
        moved_exdate(schedule, text, step) for text in schedule.exdates
    ]
    if KINDS[schedule.kind].beats:
        assert schedule.anchor_at is not None, "it counts from somewhere"
        return columns | {"anchor_at": schedule.anchor_at + step}
    by_s = schedule.shift_s + int(step.total_seconds())
    said = KINDS[schedule.kind].moved(schedule.rule, by_s)
    if said is None:
        return columns | {"shift_s": by_s}
    return columns | {"rule": said, "shift_s": 0}


def moved_exdate(schedule: Schedule, text: str, step: timedelta) -> str:
    """An excluded instant moves along; an excluded day stays that day."""
    if "T" not in text:
        return text
    moved = frames.later(schedule, datetime.fromisoformat(text), step)
    return moved.isoformat().replace("+00:00", "Z")
