"""Drag and drop of what runs already: only its end moves, and with it its deadline and
its time limit, see scheduling.deadline_changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents.errors import NotAllowedNow, Refused
from agents.http import wrong
from scheduling import deadline_changes, schedules
from scheduling.models import Run
from scheduling.move_input import Wish
from scheduling.move_plans import rule_text
from scheduling.run_state import RunState
from scheduling.timetables import human, timetable_of
from scheduling.triggers.words import day_and_time

STARTED = (RunState.RUNNING, RunState.SUSPENDED)
ONLY_ITS_END = "it has started; only its end can be moved"


def running_of(occurrence_id: str) -> Run | None:
    """The run of an occurrence that has started and is not over."""
    uid, _, key = occurrence_id.partition("@")
    known = Run.objects.filter(
        occurrence__schedule__uid=uid, occurrence__key=key, state__in=STARTED
    )
    return known.select_related(
        "agent", "version", "node", "occurrence__schedule__agent"
    ).first()


def move_end(run: Run, wish: Wish, *, actor: str, now: datetime) -> dict[str, Any]:
    """Raises Refused for another start or an end that cannot be, NotAllowedNow where
    no end is given, ChangedMeanwhile for a stale `base_version`."""
    assert run.occurrence is not None, "running_of looks for those alone"
    schedule = run.occurrence.schedule
    if wish.base_version is not None:
        schedules.check_version(schedule, wish.base_version)
    check(run, wish)
    try:
        told = deadline_changes.change(
            run,
            deadline_changes.Wish({"finish": wish.end}, dry_run=wish.dry_run),
            actor=actor,
            now=now,
        )
    except Refused as refused:
        said = next(iter(refused.fields.values()))
        raise Refused(f"end: {said[0]}", {"end": said}) from None
    assert wish.end is not None, "checked"
    rule, words = rule_text(schedule.kind, schedule.rule), human(schedule)
    ends = day_and_time(wish.end, timetable_of(schedule).zone)
    return {
        "changed_count": 1,
        "rule_before": rule,
        "rule_after": rule,
        "human_before": words,
        "human": f"{words}; the run under way ends {ends} at the latest",
        "conflicts": [{"text": told["at_risk"]}] if told["at_risk"] else [],
        "suggestions": [],
        "undo_token": told["undo_token"],
        "version": schedule.version,
        "schedule": schedule.uid,
        "feasible": True,
        "reason": "",
        "run": told,
    }


def check(run: Run, wish: Wish) -> None:
    if wish.end is None:
        raise NotAllowedNow(f"it is {run.state}; only its end can be moved")
    if wish.scope != "this":
        raise wrong("scope", "it has started; only its own end can be moved")
    if wish.node is not None:
        raise Refused("node: it has started", {"node": ["it has started"]})
    begins = {at.replace(microsecond=0) for at in (run.started_at, run.due_at) if at}
    if wish.start not in begins:
        raise Refused(f"start: {ONLY_ITS_END}", {"start": [ONLY_ITS_END]})
