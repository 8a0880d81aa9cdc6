from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from scheduling import agent_scheduler, why
from scheduling.models import Run
from scheduling.planner.admission import Admit, Decision, Preempt, Thaw

EXPLAINED = 25  # of those that wait; each is tried with the planner


class Command(BaseCommand):
    help = "Show what the scheduler would decide now, and why. Changes nothing."

    def handle(self, **options: Any) -> None:
        at = now()
        decisions = agent_scheduler.make_plan(now=at, per_class=20)
        known = Run.objects.select_related("agent", "node")
        runs = known.in_bulk([d.run.id for d in decisions])
        explained = 0
        for decision in decisions:
            run = runs[decision.run.id]
            self.stdout.write(f"{run.agent.agent_id} {run.uid[:8]}: {said(decision)}")
            if not isinstance(decision, Admit) and explained < EXPLAINED:
                explained += 1
                for line in explanation(run, at):
                    self.stdout.write(f"    {line}")
        self.stdout.write(f"{len(decisions)} decisions")


def said(decision: Decision) -> str:
    match decision:
        case Admit(node=node):
            return f"starts on {node}"
        case Preempt(node=node, victims=victims):
            ways = ", ".join(sorted({v.rung.word for v in victims}))
            return f"asks {len(victims)} less urgent runs on {node} to yield: {ways}"
        case Thaw(node=node):
            return f"goes on, on {node}"
        case _:
            return f"waits: {decision.why.text}"


def explanation(run: Run, at: datetime) -> Iterator[str]:
    found = why.why(run, now=at)
    for blocker in found["blockers"]:
        yield f"in its way: {blocker['text']}"
    if (change := found["smallest_change"]) is not None:
        uids = [uid[:8] for uid in (*change.get("stop", ()), *change.get("hold", ()))]
        named = f" ({', '.join(uids)})" if uids else ""
        yield f"smallest change: {change['text']}{named}"
    if found["expected_start"]:
        yield f"expected to start {found['expected_start']}, by {found['basis']}"
    elif found["basis"]:
        yield found["basis"]
