"""A schedule tried by hand: started for real now, or only told what would happen.

The dry run asks the planner itself: the run is queued, decided upon, and taken back
with its transaction, so that nothing of it was ever there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from agents import journal, live_config
from agents.errors import NotAllowedNow
from agents.priority import Priority
from scheduling import (
    agent_scheduler,
    books,
    firing_facts,
    runs,
    triggered,
    what_if,
    why_reader,
    window_bars,
)
from scheduling.feasibility import BECOMES
from scheduling.kinds import KINDS
from scheduling.models import Occurrence, Run, Schedule
from scheduling.overlap import Replace, Skip, WaitForEnd, judge
from scheduling.schedule_shapes import rule_text

PER_CLASS = 50  # runs of each class that the planner is shown
Told = dict[str, Any]


@dataclass(slots=True)
class Verdict:
    """`outcome`: starts, waits, is skipped, or is refused."""

    outcome: str
    text: str
    node: str | None = None
    notes: list[str] = field(default_factory=list)


def fire(
    schedule: Schedule,
    params: Mapping[str, Any] | None,
    *,
    actor: str,
    now: datetime,
) -> Told:
    """Start it for real. What happens fires it is fired; of one that runs by the clock
    its agent is started with what the schedule gives it, and no instant is used up.

    Raises NotAllowedNow where that cannot be.
    """
    occurrence = run = None
    if KINDS[schedule.kind].timed:
        run = _started(schedule, params, actor=actor, now=now)
    else:
        occurrence = triggered.fire_by_hand(schedule, params, actor=actor, now=now)
    return {
        "dry_run": False,
        "outcome": "starts",
        "agent": schedule.agent.agent_id,
        "run": run.uid if run else None,
        "occurrence": occurrence,
    }


@transaction.atomic
def _started(
    schedule: Schedule, params: Mapping[str, Any] | None, *, actor: str, now: datetime
) -> Run:
    if schedule.ended_at is not None:
        raise NotAllowedNow("the schedule has ended")
    run = _queued(schedule, params, actor=actor, now=now)
    event = books.entry("schedule.fired", schedule, actor, now, run=run.uid)
    journal.record_many([event])
    return run


def _queued(
    schedule: Schedule, params: Mapping[str, Any] | None, *, actor: str, now: datetime
) -> Run:
    return runs.request_run(
        schedule.agent,
        actor=actor,
        now=now,
        params=merged(schedule, params),
        priority=schedule.priority,
        timeout_s=schedule.timeout_s,
        concurrency=schedule.concurrency,
    )


def merged(schedule: Schedule, params: Mapping[str, Any] | None) -> Told:
    return {**schedule.params, **(params or {})}


# -- only told ------------------------------------------------------------------------


def tell(
    schedule: Schedule,
    params: Mapping[str, Any] | None,
    *,
    actor: str,
    now: datetime,
) -> Told:
    """What would happen if it fired now. Nothing does."""
    found = _refused(schedule) or _kept_back(schedule, now)
    if found is None or found.outcome == "starts":
        notes = found.notes if found else []
        found = _planned(schedule, params, actor=actor, now=now)
        found.notes = [*notes, *found.notes]
    priority = schedule.priority
    if priority is None:
        priority = schedule.agent.priority
    return {
        "dry_run": True,
        "outcome": found.outcome,
        "text": found.text,
        "notes": found.notes,
        "agent": schedule.agent.agent_id,
        "node": found.node,
        "priority": Priority(priority).word,
        "params": merged(schedule, params),
        "rule_text": rule_text(schedule),
    }


def _refused(schedule: Schedule) -> Verdict | None:
    agent = schedule.agent
    if schedule.ended_at is not None:
        return Verdict("refused", "The schedule has ended.")
    if not schedule.enabled and not KINDS[schedule.kind].timed:
        return Verdict("refused", "The schedule is disabled.")
    if agent.retired_at is not None or not agent.enabled:
        return Verdict("refused", f"{agent.agent_id} is disabled.")
    return None


def _kept_back(schedule: Schedule, now: datetime) -> Verdict | None:
    """By what holds for a firing: a pause, its limit, a window, the run before it. One
    that runs by the clock is started as by hand, and none of these holds."""
    if KINDS[schedule.kind].timed:
        return Verdict("starts", "", notes=_clock_notes(schedule))
    if schedule.paused_at is not None:
        return Verdict("waits", "The schedule is paused: it waits until it goes on.")
    most = schedule.max_runs
    if most is not None and schedule.fired_count >= most:
        return Verdict("skipped", f"All {most} runs were used.")
    return _by_window(schedule, now) or _by_overlap(schedule)


def _clock_notes(schedule: Schedule) -> list[str]:
    notes = ["It is started beside its set times; none of them is used up."]
    if schedule.paused_at is not None or not schedule.enabled:
        notes.append("The schedule itself stays paused.")
    return notes


def _by_window(schedule: Schedule, now: datetime) -> Verdict | None:
    priority = schedule.priority
    fell = window_bars.fall(
        window_bars.kept(),
        now,
        agent_pk=schedule.agent_id,
        priority=schedule.agent.priority if priority is None else priority,
    )
    if fell is None:
        return None
    outcome = "skipped" if fell.policy == "skip" else "waits"
    return Verdict(outcome, f"Now falls into {fell.name}; {BECOMES[fell.policy]}.")


def _by_overlap(schedule: Schedule) -> Verdict | None:
    policy = schedule.overlap
    if schedule.agent.kind == "persistent" and policy == "allow_all":
        policy = "skip"
    live = len(firing_facts.live_runs([schedule]).get(schedule.pk, ()))
    planned = Occurrence.objects.filter(schedule=schedule, state="planned")
    waiting = planned.filter(decided_at__isnull=False).count()
    match judge(policy, live=live, waiting=waiting):
        case Skip(reason=reason):
            return Verdict("skipped", f"It would be skipped: {reason}.")
        case WaitForEnd():
            return Verdict("waits", "It waits for the run before it to end.")
        case Replace():
            note = "The run before it is ended for it."
            return Verdict("starts", "", notes=[note])
    return None


def _planned(
    schedule: Schedule, params: Mapping[str, Any] | None, *, actor: str, now: datetime
) -> Verdict:
    """What the planner makes of such a run, now."""
    config = live_config.current()
    try:
        with transaction.atomic():
            run = _queued(schedule, params, actor=actor, now=now)
            seen = agent_scheduler.seen_now(now=now, per_class=PER_CLASS)
            fates = what_if.fates(why_reader.shown(seen, run), config, now)
            fate = fates.get(run.pk)
            transaction.set_rollback(True)
    except NotAllowedNow as refusal:
        return Verdict("refused", f"{str(refusal).capitalize()}.")
    if fate is None:
        return Verdict("waits", "It waits for its place in the queue.")
    if fate.do == "admit":
        return Verdict("starts", f"It starts at once on {fate.node}.", fate.node)
    if fate.do == "preempt":
        text = f"It starts on {fate.node} once less important work has made room."
        return Verdict("starts", text, fate.node)
    return Verdict("waits", f"It waits: {fate.reason or 'for room'}.")
