from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from scheduling import agent_scheduler
from scheduling.models import Run
from scheduling.planner.admission import Admit, Decision, Preempt, Thaw


class Command(BaseCommand):
    help = "Show what the scheduler would decide now, and why. Changes nothing."

    def handle(self, **options: Any) -> None:
        decisions = agent_scheduler.make_plan(now=now(), per_class=20)
        runs = Run.objects.select_related("agent").in_bulk(
            [d.run.id for d in decisions]
        )
        for decision in decisions:
            run = runs[decision.run.id]
            self.stdout.write(f"{run.agent.agent_id} {run.uid[:8]}: {said(decision)}")
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
