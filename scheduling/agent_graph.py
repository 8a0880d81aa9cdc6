"""How agents hang together: who waits for whom, who triggers whom, and in which graphs.

For people to look at. What would make a circle of those that wait is refused when an
agent is registered; a circle of triggers is allowed, as its length is bounded, and is
named here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agents import requirements
from agents.models import Agent
from agents.registration import cascade_cycles
from scheduling.models import Graph


def read() -> dict[str, Any]:
    """{nodes, edges, cycles}: an edge leads from what comes first to what follows."""
    known = Agent.objects.filter(retired_at__isnull=True).select_related("current")
    agents = {agent.agent_id: agent for agent in known}
    specs = {name: agent.spec for name, agent in agents.items()}
    edges = [edge for name, spec in specs.items() for edge in _of_agent(name, spec)]
    graphs = list(Graph.objects.all())
    edges += [edge for graph in graphs for edge in _of_graph(graph)]
    named = {end for edge in edges for end in (edge["from"], edge["to"])}
    return {
        "nodes": [
            {
                "agent": name,
                "kind": agents[name].kind if name in agents else None,
                "enabled": agents[name].enabled if name in agents else None,
                "known": name in agents,
                "graphs": [g.name for g in graphs if name in _agents_of(g)],
            }
            for name in sorted(named | set(agents))
        ],
        "edges": edges,
        "cycles": [
            {"kind": "cascades", "agents": circle, "text": " -> ".join(told)}
            for circle in cascade_cycles(specs.values())
            for told in [[*circle, circle[0]]]
        ],
    }


def _of_agent(name: str, spec: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for other in requirements.agents_of(spec):
        yield _edge(other, name, "depends_on", "ready")
    for one in spec["cascades"]:
        yield _edge(name, one["agent"], "cascades", one["on"])


def _of_graph(graph: Graph) -> Iterable[dict[str, Any]]:
    agent_of = {node["name"]: node["agent"] for node in graph.spec["nodes"]}
    for node in graph.spec["nodes"]:
        for edge in node["after"]:
            first = agent_of[edge["node"]]
            yield _edge(first, node["agent"], "graph", edge["on"], graph.name)


def _edge(
    first: str, then: str, kind: str, on: str, graph: str | None = None
) -> dict[str, Any]:
    return {"from": first, "to": then, "kind": kind, "on": on, "graph": graph}


def _agents_of(graph: Graph) -> set[str]:
    return {node["agent"] for node in graph.spec["nodes"]}
