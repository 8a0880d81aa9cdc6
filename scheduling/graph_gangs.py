"""Nodes of graphs that are gangs: several runs that start together, and are over when
all of them are.

How large a gang is stands in the spec of the graph's run from its start on, whatever
becomes of the agent's definition meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from agents.models import Agent
from scheduling import gangs
from scheduling.models import Run
from scheduling.run_state import FINAL, RunState


def sized(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with the size of each gang: the node's own word, else the agent's."""
    names = {node["agent"] for node in spec["nodes"]}
    known = Agent.objects.filter(agent_id__in=names)
    specs = dict(known.values_list("agent_id", "current__spec"))
    nodes = [
        {**node, "gang": size_of(node) or gangs.of_agent(specs[node["agent"]]) or None}
        for node in spec["nodes"]
    ]
    return {**spec, "nodes": nodes}


def size_of(node: Mapping[str, Any]) -> int:
    """How many runs the node has at once; 0: one alone."""
    return node.get("gang") or 0


def newest(uid: str, plain: Collection[str], *, has_gangs: bool) -> dict[str, Run]:
    """The newest run of each key among nodes of the graph's run: of the `plain` keys,
    with gangs also of their members."""
    found = Run.objects.filter(root_uid=uid).order_by("id").defer("result", "params")
    if not has_gangs:
        found = found.filter(occurrence_key__in=plain)
    runs = {run.occurrence_key: run for run in found}
    return {k: run for k, run in runs.items() if gangs.occurrence_of(k) in plain}


def ended(members: Collection[Run]) -> tuple[bool, str] | None:
    """Whether all went well, and else why not; None while one of them goes on."""
    if any(run.state not in FINAL for run in members):
        return None
    failed = [run for run in members if run.state != RunState.SUCCEEDED]
    if not failed:
        return True, ""
    first = min(failed, key=lambda run: (run.ended_at or run.state_since, run.pk))
    return False, first.reason or first.state
