"""What conditions may know of agents, nodes and runs, read from the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count

from agents.models import Node
from scheduling import live_runs
from scheduling.conditions.rules import Reference
from scheduling.models import Run
from scheduling.run_state import RunState

HOUR = timedelta(hours=1)
Facts = Mapping[str, Any]  # "agents" and "nodes" by name, "runs.queued" and the like


def read(wanted: Iterable[Reference], now: datetime) -> dict[str, Any]:
    """The facts these references ask for; what nobody asks for costs nothing."""
    refs = set((r.root, r.name, r.field) for r in wanted)
    agents = sorted({name for root, name, _ in refs if root == "agents"})
    nodes = sorted({name for root, name, _ in refs if root == "nodes"})
    facts: dict[str, Any] = {}
    if agents:
        facts["agents"] = {name: of_agent(name, now) for name in agents}
    if nodes:
        facts["nodes"] = of_nodes(nodes)
    if asked := {field for root, _, field in refs if root == "runs"}:
        facts |= of_runs(asked, now)
    return facts


def of_agent(name: str, now: datetime) -> dict[str, Any]:
    """`last_state` and `since_s` are of the run made last; "" without any."""
    live = live_runs.began().filter(agent__agent_id=name)
    last = Run.objects.filter(agent__agent_id=name).order_by("-id")
    row = last.values_list("state", "state_since").first()
    state, since = row if row is not None else ("", None)
    facts: dict[str, Any] = {
        "running": live.filter(state=RunState.RUNNING).count(),
        "queued": live_runs.queued().filter(agent__agent_id=name).count(),
        "last_state": str(state),
    }
    if since is not None:
        facts["since_s"] = max(0.0, (now - since).total_seconds())
    return facts


def of_nodes(names: list[str]) -> dict[str, dict[str, Any]]:
    held = dict(
        live_runs.began()
        .filter(node__name__in=names)
        .order_by()
        .values_list("node__name")
        .annotate(Count("id"))
    )
    facts = {}
    for node in Node.objects.filter(name__in=names):
        facts[node.name] = {"up": node.state == "up", "runs": held.get(node.name, 0)}
        for field, key in (
            ("memory_used_fraction", "memory_fraction"),
            ("cpu_used_fraction", "cpu_fraction"),
        ):
            if isinstance(node.usage.get(key), int | float):
                facts[node.name][field] = float(node.usage[key])
    return facts


def of_runs(asked: set[str], now: datetime) -> dict[str, int]:
    facts: dict[str, int] = {}
    began: dict[str, int] = {}
    if asked - {"queued", "succeeded_last_hour", "failed_last_hour"}:
        live = live_runs.began().order_by().values_list("state")
        began = dict(live.annotate(Count("id")))
    for field in asked:
        if field == "queued":
            count = live_runs.queued().count()
        elif field.endswith("_last_hour"):
            ended = Run.objects.filter(ended_at__gt=now - HOUR)
            count = ended.filter(state=field.removesuffix("_last_hour")).count()
        else:
            count = began.get(field, 0)
        facts[f"runs.{field}"] = count
    return facts
