"""Carry out what the planner decided about runs that have to make room."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

from django.db import transaction

from agents import agent_lifecycle_hooks as hooks
from agents.errors import ChangedMeanwhile, NotAllowedNow
from scheduling import lease, nodes, phases, runs, wishes
from scheduling.models import Run
from scheduling.planner.admission import Preempt, Thaw
from scheduling.planner.rungs import Rung
from scheduling.run_state import RunState

log = logging.getLogger(__name__)
ACTOR = "scheduler"
S = RunState


def preempt(decision: Preempt, *, token: int, now: datetime) -> None:
    """Ask the victims to yield; the run itself waits for their room."""
    rungs = {v.id: v.rung for v in decision.victims}
    victims = Run.objects.select_related("version", "node", "agent").filter(
        pk__in=rungs
    )
    urgent = Run.objects.select_related("agent").get(pk=decision.run.id)
    why = f"made room for {urgent.agent.agent_id}"
    for victim in victims:
        try:
            with transaction.atomic():
                lease.check(token)
                yield_on(rungs[victim.pk], victim, why, now)
        except (ChangedMeanwhile, NotAllowedNow) as overtaken:
            log.info("preemption overtaken", extra={"why": str(overtaken)})
    names = ", ".join(sorted({v.node for v in decision.victims}))
    waits = (
        f"preempting:{decision.run.id}",
        f"less urgent runs on {names} yield to it",
    )
    if decision.run.told != waits[0]:
        runs.note_waits({decision.run.id: waits}, now=now)


def thaw(decision: Thaw, *, token: int, now: datetime) -> bool:
    """Let a frozen run go on. False when it was overtaken."""
    with transaction.atomic():
        lease.check(token)
        run = decision.run
        return wishes.admit_thaw(run.id, run.token, actor=ACTOR, now=now)


def yield_on(rung: Rung, victim: Run, why: str, now: datetime) -> None:
    """Have it yield in that way. Raises ChangedMeanwhile, NotAllowedNow."""
    match rung:
        case Rung.FREEZE | Rung.RECLAIM:
            wishes.freeze(
                victim,
                by=wishes.SCHEDULER,
                reason=why,
                actor=ACTOR,
                now=now,
                reclaim=rung == Rung.RECLAIM,
            )
        case Rung.CHECKPOINT:
            save_and_stop(victim, why, now)
        case Rung.STOP:
            back_to_queue_or_stop(victim, why, now)


def save_and_stop(victim: Run, why: str, now: datetime) -> None:
    """Its node has it save its work, and stops it then."""
    runs.stop(
        victim,
        actor=ACTOR,
        now=now,
        reason=why,
        stop_as=S.PREEMPTED,
        wish=wishes.CHECKPOINT,
        rung=wishes.CHECKPOINT,
    )
    phases.lay_out([(victim.pk, victim.version.spec)], hooks.CHECKPOINT)
    if victim.node is not None:
        told = partial(nodes.tell, victim.node.name, "checkpoint")
        transaction.on_commit(told, robust=True)


def back_to_queue_or_stop(victim: Run, why: str, now: datetime) -> None:
    """A run whose program has not been asked for yet only loses its admission."""
    if victim.state == S.ADMITTED:
        runs.move(victim, S.QUEUED, actor=ACTOR, now=now, reason=why, node_id=None)
    else:
        runs.stop(
            victim,
            actor=ACTOR,
            now=now,
            reason=why,
            stop_as=S.PREEMPTED,
            rung=Rung.STOP.word,
        )
