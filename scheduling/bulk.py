"""One change of many schedules and occurrences: all of them or none.

Each is changed by the service that changes one, inside one transaction; who cannot be
is named with the reason. A dry run does the same and leaves nothing. One token takes
all of it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from agents.errors import Forbidden, KosError, NotAllowedNow, Refused
from agents.http import iso
from agents.priority import Priority
from scheduling import moves, schedule_undo, schedules
from scheduling.bulk_input import BulkWish
from scheduling.kinds import KINDS
from scheduling.models import Schedule
from scheduling.move_input import Wish
from scheduling.move_order import check_order
from scheduling.move_plans import plan_move
from scheduling.move_targets import Target, find_target
from scheduling.move_writes import apply_plan
from scheduling.schedule_undo import Undoable
from scheduling.timetables import timetable_of
from scheduling.triggers.base import key_of

Row = dict[str, Any]
FAR = datetime.max.replace(tzinfo=UTC)
LOOKED_AHEAD = 100  # instants of a series, for one that can still be moved
MOST_VERDICTS = 50  # moved ones whose new place is looked at


class _NotKept(Exception):
    """Undoes what was done: a dry run, or one that could not be."""


class Batch:
    """One change of many while it is made."""

    def __init__(self, wish: BulkWish, actor: str, now: datetime) -> None:
        self.wish, self.actor, self.now = wish, actor, now
        self.items: list[Row] = []
        self.refused: list[Row] = []
        self.conflicts: list[Row] = []
        self.tokens: list[str] = []
        self.moved: list[tuple[Target, Wish]] = []
        self.token: str | None = None

    def run(self) -> None:
        acts: Mapping[str, Callable[[str], None]] = {
            "shift": self.shift,
            "pause": self.pause,
            "resume": self.resume,
            "priority": self.set_priority,
        }
        act = acts[self.wish.action]
        for one in self.in_order():
            try:
                with transaction.atomic():
                    act(one)
            except KosError as refused:
                said = {"code": refused.code, "reason": str(refused)}
                self.refused.append({"id": one, **said})
        self.look_at_moved()
        if self.tokens:
            what = f"{self.wish.action} of {len(self.items)}"
            self.token = schedule_undo.together(
                what, self.tokens, actor=self.actor, now=self.now
            )

    def in_order(self) -> Iterable[str]:
        """Shifted are the earliest first: who goes before others makes way for them.
        Other acts are about schedules, each of them once."""
        if self.wish.action == "shift":
            return sorted(self.wish.ids, key=lambda one: one.partition("@")[2])
        return dict.fromkeys(one.partition("@")[0] for one in self.wish.ids)

    def done(self, one: str, row: Schedule, before: object, after: object) -> None:
        whose = {"id": one, "schedule": row.uid, "agent": row.agent.agent_id}
        self.items.append({**whose, "before": before, "after": after})

    # what can be done

    def shift(self, one: str) -> None:
        by = timedelta(seconds=self.wish.by_s)
        if "@" in one:
            target = find_target(one, self.now)
            wish = Wish(start=target.due_at + by, timeout_s=target.timeout_s)
        else:
            target = first_to_come(schedules.find(one), self.now)
            wish = Wish(start=target.nominal_at + by, scope="all")
        before = target.due_at
        moves.check_time(wish, self.now)
        check_order(target, wish.start, self.now)
        plan = plan_move(target, wish, self.now)
        token = apply_plan(plan, actor=self.actor, now=self.now)
        self.tokens.append(token)
        self.moved.append((target, wish))
        if plan.scope == "all":
            self.done(one, target.schedule, plan.human_before, plan.human)
        else:
            self.done(one, target.schedule, iso(before), iso(wish.start))

    def look_at_moved(self) -> None:
        """What they would meet at their new places, all of them being there."""
        for target, wish in self.moved[:MOST_VERDICTS]:
            verdict = moves.verdict_of(target, wish, self.now)
            self.conflicts += [
                {"id": target.occurrence_id, "text": text} for text in verdict.conflicts
            ]

    def pause(self, uid: str) -> None:
        def act(row: Schedule) -> Schedule:
            told: Row = {"note": self.wish.note, "until": self.wish.until}
            return schedules.pause(row, actor=self.actor, now=self.now, **told)

        self._pausing(uid, act, "active", "paused")

    def resume(self, uid: str) -> None:
        def act(row: Schedule) -> Schedule:
            return schedules.resume(row, actor=self.actor, now=self.now)

        self._pausing(uid, act, "paused", "active")

    def _pausing(
        self, uid: str, act: Callable[[Schedule], Schedule], before: str, after: str
    ) -> None:
        row = schedules.find(uid)
        noted = Undoable(f"{self.wish.action} of {row}", row)
        noted.pausing()
        noted.schedule = act(row)
        self.tokens.append(noted.keep(actor=self.actor, now=self.now))
        self.done(uid, row, before, after)

    def set_priority(self, uid: str) -> None:
        row = schedules.find(uid)
        before = None if row.priority is None else Priority(row.priority).word
        asked = {"priority": self.wish.priority}
        _, token = schedules.change(row, asked, actor=self.actor, now=self.now)
        self.tokens.append(token)
        self.done(uid, row, before, self.wish.priority)


def act(wish: BulkWish, *, actor: str, now: datetime, may_edit: bool) -> dict[str, Any]:
    """Raises Forbidden, and Refused naming each that cannot be changed: nothing is
    then. A dry run names them in its answer."""
    only_these = wish.action == "shift" and all("@" in one for one in wish.ids)
    if not (may_edit or only_these):
        raise Forbidden("changing schedules, not single runs, needs the role editor")
    batch = Batch(wish, actor, now)
    try:
        with transaction.atomic():
            batch.run()
            if wish.dry_run or batch.refused:
                raise _NotKept
    except _NotKept:
        batch.token = None
    if batch.refused and not wish.dry_run:
        raise refusal(batch)
    return {
        "action": wish.action,
        "dry_run": wish.dry_run,
        "changed_count": len(batch.items),
        "items": batch.items,
        "conflicts": batch.conflicts,
        "refused": batch.refused,
        "undo_token": batch.token,
    }


def refusal(batch: Batch) -> Refused:
    refused, asked = batch.refused, len(batch.refused) + len(batch.items)
    said = f"{len(refused)} of {asked} cannot be changed: {refused[0]['reason']}"
    return Refused(said, more={"refused": refused})


def first_to_come(schedule: Schedule, now: datetime) -> Target:
    """The next occurrence of a series that can still be moved. Raises NotAllowedNow."""
    if not KINDS[schedule.kind].timed:
        raise NotAllowedNow(f"a schedule by {schedule.kind} has no times to move")
    if schedule.ended_at is not None:
        raise NotAllowedNow("the schedule has ended")
    after, timetable = max(now, schedule.cursor_at), timetable_of(schedule)
    for nominal in timetable.between(after, FAR, at_most=LOOKED_AHEAD):
        try:
            return find_target(f"{schedule.uid}@{key_of(nominal)}", now)
        except NotAllowedNow:
            continue
    raise NotAllowedNow("nothing of it is to come that could be moved")
