"""A move keeps the order of agents: what depends on another never goes before it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from agents import requirements
from agents.errors import Refused
from agents.http import iso
from agents.models import Agent
from scheduling import surroundings
from scheduling.move_targets import Target
from scheduling.planned import outlooks
from scheduling.triggers.base import TICK


def check_order(target: Target, start: datetime, now: datetime) -> None:
    """Raises Refused when an agent that it depends on is due before it now, and would
    be due after it then. One that serves already may be gone past."""
    wanted = set(requirements.agents_of(target.schedule.agent.spec))
    if not wanted or start >= target.due_at:
        return
    serving = Q(kind="persistent", agent_id__in=surroundings.ready_agents(wanted))
    known = Agent.objects.filter(agent_id__in=wanted).exclude(serving)
    agents = dict(known.values_list("pk", "agent_id"))
    ahead = outlooks(now, target.due_at + TICK, now=now, agents=agents)
    dues = [
        (instant.due_at, agents[outlook.schedule.agent_id])
        for outlook in ahead
        for instant in outlook.instants
        if instant.due_at <= target.due_at
    ]
    if dues and start < (last := max(dues))[0]:
        said = f"before {last[1]}, which it depends on and which is due {iso(last[0])}"
        raise Refused(f"{iso(start)} is {said}", {"start": [said]})
