"""Drag and drop: move or resize an occurrence, it and what follows, or all of them.

"this" puts the one occurrence elsewhere and keeps its id; "following" splits the
series there, the boundary belonging to the new one; "all" says the rule anew where it
can be said, else keeps an offset beside it. A dry run tells the same and changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents.errors import Forbidden, KosError, Refused
from agents.http import iso
from scheduling import downstream, feasibility, run_ends, schedule_undo, schedules
from scheduling.downstream import Downstream
from scheduling.feasibility import Verdict
from scheduling.move_input import Wish
from scheduling.move_order import check_order
from scheduling.move_plans import Plan, plan_move
from scheduling.move_targets import Target, find_target
from scheduling.move_writes import apply_plan
from scheduling.timetables import timetable_of

FARTHEST = timedelta(days=366)  # a drag further than this is a slip of the hand


def move(
    occurrence_id: str, wish: Wish, *, actor: str, now: datetime, may_edit: bool
) -> dict[str, Any]:
    """Move one occurrence as wished. `may_edit`: the caller may change schedules, not
    only single occurrences.

    Of one that runs already only the end moves, see run_ends.

    Raises NotFound, ChangedMeanwhile for a stale `base_version`, NotAllowedNow for
    what runs, has run or was passed over, Refused for a time it cannot go to.
    """
    if (run := run_ends.running_of(occurrence_id)) is not None:
        return run_ends.move_end(run, wish, actor=actor, now=now)
    target = find_target(occurrence_id, now)
    if wish.base_version is not None:
        schedules.check_version(target.schedule, wish.base_version)
    if wish.scope != "this" and not target.is_one_off and not may_edit:
        raise Forbidden("moving more than this one occurrence needs the role editor")
    check_time(wish, now)
    check_order(target, wish.start, now)
    plan = plan_move(target, wish, now)
    verdict = verdict_of(target, wish, now)
    behind = downstream.of(plan, now)
    stays = wish.start == target.due_at.replace(microsecond=0)
    if not (wish.dry_run or stays):
        check_windows(target, wish)
    if wish.downstream == "shift" and behind.movable and not stays:
        token = _with_those_behind(plan, behind, actor=actor, now=now)
    else:
        token = None if wish.dry_run else apply_plan(plan, actor=actor, now=now)
    return answer(plan, verdict, token) | {
        "downstream": behind.rows,
        "downstream_mode": wish.downstream,
        "downstream_refused": behind.refused,
    }


class _NotKept(Exception):
    """Undoes what was done: a dry run, or one that could not be."""


def _with_those_behind(
    plan: Plan, behind: Downstream, *, actor: str, now: datetime
) -> str | None:
    """The move, and by as much those that depend on it: all or none, one token. Raises
    Refused; a dry run notes who cannot go, and leaves nothing."""
    if behind.more:
        raise Refused(f"more than {downstream.MOST} depend on it; shift them in bulk")
    dry_run, token = plan.wish.dry_run, None
    try:
        with transaction.atomic():
            tokens = [apply_plan(plan, actor=actor, now=now)]
            tokens += _shift_along(plan, behind, actor, now)
            if dry_run or behind.refused:
                raise _NotKept
            what = f"move of {plan.target.schedule} and what depends on it"
            token = schedule_undo.together(what, tokens, actor=actor, now=now)
    except _NotKept:
        plan.made = None
    if behind.refused and not dry_run:
        raise downstream.refusal(behind)
    return token


def _shift_along(
    plan: Plan, behind: Downstream, actor: str, now: datetime
) -> Iterator[str]:
    """Move each, the earliest first, so that who goes before others makes way."""
    by = plan.wish.start - plan.target.due_at.replace(microsecond=0)
    for row in sorted(behind.movable, key=lambda one: str(one["due_at"])):
        try:
            with transaction.atomic():
                target = find_target(row["occurrence"], now)
                begin = target.due_at if plan.scope == "this" else target.nominal_at
                wish = Wish(start=begin + by, scope=plan.scope)
                check_time(wish, now)
                check_order(target, wish.start, now)
                check_windows(target, wish)
                own = plan_move(target, wish, now)
                token = apply_plan(own, actor=actor, now=now)
        except KosError as refused:
            behind.refused.append(downstream.refuse(row, refused))
            continue
        plan.changed_count += own.changed_count
        zone = timetable_of(target.schedule).zone
        downstream.shifted(row, wish.start, by, zone)
        yield token


def check_time(wish: Wish, now: datetime) -> None:
    if wish.start < now:
        raise Refused(f"{iso(wish.start)} is in the past", {"start": ["in the past"]})
    if wish.start > now + FARTHEST:
        said = "more than a year ahead"
        raise Refused(f"{iso(wish.start)} is {said}", {"start": [said]})


def check_windows(target: Target, wish: Wish) -> None:
    """Raises Refused where it would be skipped; a dry run only says so."""
    feasibility.refuse_windows(target.schedule.agent, wish.start, wish.node)


def verdict_of(target: Target, wish: Wish, now: datetime) -> Verdict:
    return feasibility.verdict(
        target.schedule.agent,
        wish.start,
        wish.end,
        exclude_occurrence=target.occurrence_id,
        now=now,
        node=wish.node,
    )


def answer(plan: Plan, verdict: Verdict, token: str | None) -> dict[str, Any]:
    schedule = plan.target.schedule
    return {
        "changed_count": plan.changed_count,
        "rule_before": plan.rule_before,
        "rule_after": plan.rule_after,
        "human_before": plan.human_before,
        "human": plan.human,
        "conflicts": [{"text": text} for text in verdict.conflicts],
        "suggestions": [
            {"start": iso(s.start), "text": s.text} for s in verdict.suggestions
        ],
        "undo_token": token,
        "version": schedule.version,
        "schedule": plan.made.uid if plan.made is not None else schedule.uid,
        "feasible": verdict.feasible,
        "reason": verdict.reason,
    }


def shift_many(
    ids: list[str], shift_s: int, *, actor: str, now: datetime
) -> dict[str, Any]:
    """Move many single occurrences by the same seconds: all or none.

    Raises what `move` raises, for the first that cannot go.
    """
    tokens: list[str] = []
    with transaction.atomic():
        for occurrence_id in ids:
            target = find_target(occurrence_id, now)
            start = target.due_at + timedelta(seconds=shift_s)
            wish = Wish(start=start, end=None, timeout_s=target.timeout_s)
            check_time(wish, now)
            check_order(target, start, now)
            check_windows(target, wish)
            plan = plan_move(target, wish, now)
            tokens.append(apply_plan(plan, actor=actor, now=now))
    return {"changed_count": len(ids), "undo_tokens": tokens}
