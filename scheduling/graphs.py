"""Graphs as they are defined: make, change, delete. The only writer of Graph rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from agents import journal
from agents.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound
from agents.models import Agent
from agents.quantities import shown
from scheduling.graph_input import graph_of, parse_graph
from scheduling.models import Graph, Schedule
from scheduling.planner import dependencies


def find(name: str) -> Graph:
    """Raises NotFound."""
    found = Graph.objects.filter(name=name).first() if name.isascii() else None
    if found is None:
        raise NotFound(f"there is no graph {shown(name)}")
    return found


def create(raw: object, *, actor: str, now: datetime) -> Graph:
    """Raises Invalid naming every fault, AlreadyExists for a name that is taken."""
    name, spec = parse_graph(raw)
    check_agents(spec)
    by = {"created_at": now, "created_by": actor}
    row = Graph(name=name, spec=spec, **by, changed_at=now, changed_by=actor)
    try:
        with transaction.atomic():
            row.save()
            _tell("graph.created", row, actor, now)
    except IntegrityError:
        raise AlreadyExists(f"there is a graph {name} already") from None
    return row


def change(name: str, raw: Any, *, actor: str, now: datetime) -> Graph:
    """Change some keys; runs that go on keep what they began with. Raises as create."""
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with what is to change")
    if raw.get("name", name) != name:
        said = "a graph keeps its name; make another one"
        raise Invalid(f"name: {said}", {"name": [said]})
    find(name)
    with transaction.atomic():
        row = Graph.objects.select_for_update().get(name=name)
        _, spec = parse_graph({**as_written(row), **raw})
        check_agents(spec)
        if spec != row.spec:
            row.spec, row.version = spec, row.version + 1
            row.changed_at, row.changed_by = now, actor
            row.save()
            lead = Agent.objects.get(agent_id=lead_of(spec))
            Schedule.objects.filter(graph=name, ended_at=None).update(agent=lead)
            _tell("graph.changed", row, actor, now)
    return row


def delete(name: str, *, actor: str, now: datetime) -> None:
    """Its runs stay, and those that go on go on. Raises NotFound, and NotAllowedNow
    while a schedule starts it."""
    row = find(name)
    with transaction.atomic():
        if Schedule.objects.filter(graph=name, ended_at=None).exists():
            raise NotAllowedNow("a schedule starts it; end that first")
        _tell("graph.deleted", row, actor, now)
        row.delete()


def as_written(row: Graph) -> dict[str, Any]:
    """The HTTP shape that gives this graph again."""
    return {"name": row.name, **row.spec}


def lead_of(spec: Mapping[str, Any]) -> str:
    """The agent of the node that comes first."""
    first = dependencies.in_order(graph_of(spec))[0]
    agents = {node["name"]: node["agent"] for node in spec["nodes"]}
    return str(agents[first])


def check_agents(spec: Mapping[str, Any]) -> None:
    """Raises Invalid where a node's agent is nobody, or one that never ends."""
    names = {node["agent"] for node in spec["nodes"]}
    known = Agent.objects.filter(agent_id__in=names, retired_at__isnull=True)
    kinds = dict(known.values_list("agent_id", "kind"))
    said = []
    for number, node in enumerate(spec["nodes"], start=1):
        name = node["agent"]
        if name not in kinds:
            said.append(f"item {number}, agent: there is no agent {shown(name)}")
        elif kinds[name] == "persistent":
            said.append(f"item {number}, agent: {name} is persistent; it never ends")
    if said:
        raise Invalid(f"nodes: {said[0]}", {"nodes": said[:20]})


def _tell(kind: str, row: Graph, actor: str, now: datetime) -> None:
    facts = {"graph": row.name, "version": row.version}
    journal.record(kind, f"graph:{row.name}", actor=actor, at=now, **facts)
