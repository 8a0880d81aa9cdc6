"""How agents hang together: who waits for whom, who triggers whom, and in which graphs.

For people to look at and to change. What would make a circle of those that wait is
refused when an agent is registered; a circle of triggers is allowed, as its length is
bounded, and is named here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from agents import requirements
from agents.http import iso
from agents.models import Agent
from agents.priority import Priority
from agents.registration import cascade_cycles
from scheduling import durations, live_runs, queries
from scheduling.models import Graph
from scheduling.planner.agent_paths import longest_way

Row = dict[str, Any]
LED = ("depends_on", "cascades")  # kinds of edges that lead from one run to another


def read(now: datetime) -> Row:
    """{nodes, edges, cycles, critical_path}: an edge leads from what comes first to
    what follows."""
    known = Agent.objects.filter(retired_at__isnull=True).select_related("current")
    agents = {agent.agent_id: agent for agent in known}
    specs = {name: agent.spec for name, agent in agents.items()}
    graphs = list(Graph.objects.all())
    edges = edges_of(specs.values())
    edges += [edge for graph in graphs for edge in _of_graph(graph)]
    path = critical_path(agents, edges, now)
    mark(edges, path["agents"])
    live = _live(agents, now)
    named = {end for edge in edges for end in (edge["from"], edge["to"])}
    return {
        "nodes": [
            {
                "agent": name,
                "kind": agents[name].kind if name in agents else None,
                "enabled": agents[name].enabled if name in agents else None,
                "known": name in agents,
                "graphs": [g.name for g in graphs if name in _agents_of(g)],
                **live.get(name, NOBODY),
                "critical": name in path["agents"],
            }
            for name in sorted(named | set(agents))
        ],
        "edges": edges,
        "cycles": [
            {"kind": "cascades", "agents": circle, "text": " -> ".join(told)}
            for circle in cascade_cycles(specs.values())
            for told in [[*circle, circle[0]]]
        ],
        "critical_path": path,
    }


def critical_path(
    agents: Mapping[str, Agent], edges: Sequence[Row], now: datetime
) -> Row:
    """The longest way over what agents wait for and trigger, by expected seconds."""
    took = durations.expected(now)
    seconds = {name: _seconds(agent, took) or 0.0 for name, agent in agents.items()}
    ways = [(e["from"], e["to"], e["kind"] == "depends_on") for e in edges if led(e)]
    path = longest_way(ways, seconds)
    total = sum(seconds.get(name, 0.0) for name in path)
    return {"agents": path, "seconds": round(total, 3)}


def led(edge: Row) -> bool:
    return edge["kind"] in LED


def mark(edges: Iterable[Row], path: Sequence[str]) -> None:
    """Say of each edge whether it is part of the longest way."""
    steps = set(pairwise(path))
    for edge in edges:
        edge["critical"] = led(edge) and (edge["from"], edge["to"]) in steps


def edges_of(specs: Iterable[Mapping[str, Any]]) -> list[Row]:
    """What agents say themselves of those they wait for and trigger."""
    return [edge for spec in specs for edge in _of_agent(spec["agent_id"], spec)]


def _of_agent(name: str, spec: Mapping[str, Any]) -> Iterable[Row]:
    for other in requirements.agents_of(spec):
        in_short = other in spec["depends_on"]
        yield _edge(other, name, "depends_on", "ready", editable=in_short)
    for one in spec["cascades"]:
        yield _edge(name, one["agent"], "cascades", one["on"], editable=True)


def _of_graph(graph: Graph) -> Iterable[Row]:
    agent_of = {node["name"]: node["agent"] for node in graph.spec["nodes"]}
    for node in graph.spec["nodes"]:
        for edge in node["after"]:
            first = agent_of[edge["node"]]
            yield _edge(first, node["agent"], "graph", edge["on"], graph=graph.name)


def _edge(
    first: str,
    then: str,
    kind: str,
    on: str,
    *,
    graph: str | None = None,
    editable: bool = False,
) -> Row:
    row: Row = {"from": first, "to": then, "kind": kind, "on": on, "graph": graph}
    return {**row, "editable": editable, "critical": False}


def _agents_of(graph: Graph) -> set[str]:
    return {node["agent"] for node in graph.spec["nodes"]}


# -- how each of them is ---------------------------------------------------------------

NOBODY: Row = {
    **dict.fromkeys(("version", "priority", "status", "live_run", "last_run")),
    **dict.fromkeys(("expected_s", "next_due_at")),
    "tags": [],
    "running": 0,
    "queued": 0,
}


def _live(agents: Mapping[str, Agent], now: datetime) -> dict[str, Row]:
    known = list(agents.values())
    columns, due = queries.agent_columns(known), queries.next_due(known)
    newest = queries.newest_runs([agent.pk for agent in known])
    queued, running = _counted(live_runs.queued()), _counted(live_runs.began())
    took = durations.expected(now)
    return {
        name: {
            "version": agent.current.number if agent.current else None,
            "priority": Priority(agent.priority).word,
            "tags": agent.tags,
            "status": columns[agent.pk]["status"],
            "live_run": columns[agent.pk]["live_run"],
            "running": running[agent.pk],
            "queued": queued[agent.pk],
            "last_run": _last(newest.get(agent.pk)),
            "expected_s": _seconds(agent, took),
            "next_due_at": due.get(agent.pk, {}).get("next_due_at"),
        }
        for name, agent in agents.items()
    }


def _counted(runs: Any) -> Counter[int]:
    return Counter(runs.order_by().values_list("agent_id", flat=True))


def _last(run: Any) -> Row | None:
    if run is None:
        return None
    return {
        "uid": run.uid,
        "state": run.state,
        "reason": run.reason,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
    }


def _seconds(agent: Agent, took: Mapping[int, float]) -> float | None:
    """What a run of it will probably take; None for one that never ends."""
    if agent.kind == "persistent":
        return None
    return took.get(agent.pk, durations.UNKNOWN_S)
