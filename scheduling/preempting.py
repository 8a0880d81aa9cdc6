"""Carry out what the planner decided about runs that have to make room."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from agents.errors import ChangedMeanwhile, NotAllowedNow
from scheduling import lease, runs
from scheduling.models import Run
from scheduling.planner.admission import Preempt
from scheduling.run_state import RunState

log = logging.getLogger(__name__)
ACTOR = "scheduler"
S = RunState


def preempt(decision: Preempt, *, token: int, now: datetime) -> None:
    """Ask the victims to stop; the run itself waits for their room."""
    victims = Run.objects.select_related("version", "node").filter(
        pk__in=[v.id for v in decision.victims]
    )
    urgent = Run.objects.select_related("agent").get(pk=decision.run.id)
    why = f"made room for {urgent.agent.agent_id}"
    for victim in victims:
        try:
            with transaction.atomic():
                lease.check(token)
                back_to_queue_or_stop(victim, why, now)
        except (ChangedMeanwhile, NotAllowedNow) as overtaken:
            log.info("preemption overtaken", extra={"why": str(overtaken)})
    names = ", ".join(sorted({v.node for v in decision.victims}))
    waits = (
        f"preempting:{decision.run.id}",
        f"less urgent runs on {names} stop for it",
    )
    if decision.run.told != waits[0]:
        runs.note_waits({decision.run.id: waits}, now=now)


def back_to_queue_or_stop(victim: Run, why: str, now: datetime) -> None:
    """A run whose program has not been asked for yet only loses its admission."""
    if victim.state == S.ADMITTED:
        runs.move(victim, S.QUEUED, actor=ACTOR, now=now, reason=why, node_id=None)
    else:
        runs.stop(victim, actor=ACTOR, now=now, reason=why, stop_as=S.PREEMPTED)
