"""How things stand: agents by status, nodes and their use, the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from agents import live_config
from agents.errors import NotFound
from agents.http import iso
from agents.models import Agent, Node
from scheduling import lease, live_runs, queries
from scheduling.models import Run
from scheduling.planner.admission import Admit, Decision, Preempt, Thaw, Wait

STATES = ("running", "sleeping", "queued", "crashed", "rebooting", "disabled")


def overview(now: datetime) -> dict[str, Any]:
    """Agents by status, runs that wait, nodes with their use, and who leads."""
    agents = list(Agent.objects.filter(retired_at=None))
    states: Counter[str] = Counter(dict.fromkeys(STATES, 0))
    states.update(queries.agent_status(agents).values())
    states["queued"] = live_runs.queued().filter(due_at__lte=now).count()
    leader, step_ms = lease.leader()
    return {
        "states": states,
        "nodes": nodes(),
        "leader": leader or None,
        "tick_ms": step_ms if leader else None,
    }


# --- nodes -------------------------------------------------------------------


def nodes() -> list[dict[str, Any]]:
    used = _used()
    slots = live_config.current().max_concurrent_agents
    return [_node(node, used.get(node.pk, {}), slots) for node in Node.objects.all()]


def one_node(name: str) -> dict[str, Any]:
    """Raises NotFound."""
    for node in nodes():
        if node["name"] == name:
            return node
    raise NotFound(f"no node {name[:64]!r}")


def _used() -> dict[int, dict[str, Any]]:
    held = live_runs.began().filter(node__isnull=False).order_by().values("node_id")
    rests = Q(suspended_at__isnull=False) & ~Q(wish="thaw")  # its CPU is others'
    sums = held.annotate(
        cpu_millis=Sum("cpu_millis", filter=~rests),
        memory_bytes=Sum("memory_bytes")
        - Sum(Coalesce("reclaimed_bytes", 0), filter=rests, default=0),
        gpus=Sum("gpus"),
        slots=Count("id", filter=~rests),
    )
    return {row["node_id"]: dict(row) for row in sums}


def _node(node: Node, used: dict[str, Any], slots: int) -> dict[str, Any]:
    parts = ("cpu_millis", "memory_bytes", "gpus", "slots")
    return {
        "name": node.name,
        "state": node.state,
        "cordoned": node.cordoned,
        "draining": node.draining,
        "heartbeat_at": iso(node.heartbeat_at),
        "environments": node.environments,
        "environments_missing": node.environments_missing,
        "labels": node.labels,
        "taints": sorted(node.taints),
        "bandwidth_bps": node.bandwidth_bps,
        "cpu_millis": node.cpu_millis,
        "memory_bytes": node.memory_bytes,
        "gpus": node.gpus,
        "devices": node.devices,
        "yields": node.yields,
        "short_of": node.balance.get("troubles", {}),
        "address": node.address,
        "slots": slots,
        "used": {part: used.get(part) or 0 for part in parts},
        "usage": node.usage,
    }


# --- the plan -----------------------------------------------------------------


def told(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """A plan for people to read: one line for each decision, in its order."""
    wanted = {decision.run.id for decision in decisions}
    wanted |= {v.id for d in decisions if isinstance(d, Preempt) for v in d.victims}
    names = {
        pk: {"uid": uid, "agent": agent}
        for pk, uid, agent in Run.objects.filter(pk__in=wanted).values_list(
            "pk", "uid", "agent__agent_id"
        )
    }
    return [_decision(decision, names) for decision in decisions]


def _decision(decision: Decision, names: dict[int, dict[str, str]]) -> dict[str, Any]:
    run = names.get(decision.run.id, {})
    match decision:
        case Admit(node=node):
            return {"do": "admit", **run, "node": node}
        case Preempt(node=node, victims=victims):
            stop = [{**names.get(v.id, {}), "rung": v.rung.word} for v in victims]
            return {"do": "preempt", **run, "node": node, "victims": stop}
        case Thaw(node=node):
            return {"do": "thaw", **run, "node": node}
        case Wait(why=why):
            return {"do": "wait", **run, "code": why.code, "reason": why.text}
