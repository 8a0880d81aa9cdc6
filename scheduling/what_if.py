"""What would become of the runs that wait, were things otherwise. Changes nothing.

The same reader and the same planner as the controller's, on a snapshot that is changed
as asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agents import live_config
from agents.config_keys import ConfigError, SchedulerConfig
from agents.http import wrong
from agents.quantities import QuantityError, parse_cpu, parse_memory, shown
from scheduling import agent_scheduler, what_if_ahead
from scheduling.models import Run
from scheduling.planner.admission import Admit, Decision, Preempt, Thaw
from scheduling.planner.snapshot import NodeView, QueueClass, Snapshot

FIELDS = ("config", "nodes", "schedules", "hours")
KEYS = (
    *("max_concurrent_agents", "scheduler_mode", "allow_agent_preemption"),
    *("max_memory_usage", "placement.strategy", "placement.backfill"),
)
NODE_KEYS = {"name", "remove", "like", "cpu", "memory"}
PER_CLASS = 50
MOST_NODES = 100
MOST_CHANGES = 500  # told one by one


@dataclass(frozen=True, slots=True)
class Fate:
    """What a plan does with one run."""

    do: str
    node: str | None = None
    code: str | None = None
    reason: str | None = None

    def row(self) -> dict[str, str | None]:
        return {
            "do": self.do,
            "node": self.node,
            "code": self.code,
            "reason": self.reason,
        }


def answer(body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Raises Invalid naming the field at fault."""
    config = live_config.current()
    changed = _config(config, body.get("config", {}))
    whole: dict[str, Any] = {"now": now, "per_class": PER_CLASS, "idle_too": True}
    before = agent_scheduler.seen(config, **whole)
    after = agent_scheduler.seen(changed, **whole)
    after = _with_nodes(after, body.get("nodes", []), changed)
    was, would = fates(before, config, now), fates(after, changed, now)
    differ = [pk for pk, fate in would.items() if was.get(pk) not in (None, fate)]
    names = _names(differ[:MOST_CHANGES])
    length = what_if_ahead.hours_in(body.get("hours"))
    ahead = {}
    if (given := body.get("schedules")) is not None:
        ahead["ahead"] = what_if_ahead.answer(given, length, before, after, now)
    return {
        **ahead,
        "before": _counted(was),
        "after": _counted(would),
        "looked_at": len(would),
        "changed": len(differ),
        "changes": [
            {**names[pk], "before": was[pk].row(), "after": would[pk].row()}
            for pk in differ[:MOST_CHANGES]
            if pk in names
        ],
    }


def _config(config: SchedulerConfig, given: Any) -> SchedulerConfig:
    if not isinstance(given, dict):
        raise wrong("config", "expected an object of keys and values")
    for key in given:
        if key not in KEYS:
            raise wrong("config", f"{shown(key)} is not one of {', '.join(KEYS)}")
    try:
        return config.with_overrides(given)
    except ConfigError as fault:
        raise wrong("config", str(fault)) from None


# -- nodes -----------------------------------------------------------------------------


def _with_nodes(snapshot: Snapshot, given: Any, config: SchedulerConfig) -> Snapshot:
    if not isinstance(given, list) or len(given) > MOST_NODES:
        raise wrong("nodes", f"expected a list of at most {MOST_NODES} nodes")
    for number, item in enumerate(given, 1):
        try:
            snapshot = _with_node(snapshot, item, config)
        except ValueError as fault:
            raise wrong("nodes", f"item {number}: {fault}") from None
    return snapshot


def _with_node(snapshot: Snapshot, item: Any, config: SchedulerConfig) -> Snapshot:
    """One node changed, gone or new. Raises ValueError."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ValueError("expected an object with a name")
    if unknown := sorted(str(key) for key in item.keys() - NODE_KEYS):
        raise ValueError(f"{shown(unknown[0])} is not a known key")
    name, nodes = item["name"], dict(snapshot.nodes)
    if "remove" in item:
        if item["remove"] is not True or len(item) > 2:
            raise ValueError("remove: expected true, and nothing else")
        _there(nodes, name)
        del nodes[name]
        return replace(snapshot, nodes=nodes)
    if "like" in item:
        if name in nodes:
            raise ValueError(f"there is a node {shown(name)} already")
        model = _there(nodes, item["like"])
        nodes[name] = replace(model, name=name, taken={}, here={}, measured=None)
        snapshot = replace(snapshot, waiting=_liking(snapshot.waiting, model, name))
    nodes[name] = _resized(_there(nodes, name), item, config)
    return replace(snapshot, nodes=dict(sorted(nodes.items())))


def _there(nodes: Mapping[str, NodeView], name: Any) -> NodeView:
    if not isinstance(name, str) or name not in nodes:
        raise ValueError(f"there is no node {shown(name)}")
    return nodes[name]


def _liking(
    waiting: Sequence[QueueClass], model: NodeView, name: str
) -> tuple[QueueClass, ...]:
    """Classes that think of the new node as of the one it is like."""
    found = []
    for c in waiting:
        if model.name in c.unmet:
            c = replace(c, unmet={**c.unmet, name: c.unmet[model.name]})
        if weight := c.wishes.liked.get(model.name):
            liked = {**c.wishes.liked, name: weight}
            c = replace(c, wishes=replace(c.wishes, liked=liked))
        found.append(c)
    return tuple(found)


def _resized(
    node: NodeView, item: Mapping[str, Any], config: SchedulerConfig
) -> NodeView:
    capacity, measured = node.capacity, node.measured
    try:
        if "cpu" in item:
            capacity = replace(capacity, cpu_millis=parse_cpu(item["cpu"]))
        if "memory" in item:
            size = int(parse_memory(item["memory"]) * config.max_memory_fraction)
            capacity = replace(capacity, memory_bytes=size)
            measured = None  # of another machine
    except QuantityError as fault:
        raise ValueError(str(fault)) from None
    return replace(node, capacity=capacity, measured=measured)


# -- what becomes of each --------------------------------------------------------------


def fates(
    snapshot: Snapshot, config: SchedulerConfig, now: datetime
) -> dict[int, Fate]:
    """Of every run of the snapshot; who is not decided on waits as its class does."""
    decisions = agent_scheduler.decide(snapshot, config, now=now)
    decided = {d.run.id: _fate(d) for d in decisions}
    found: dict[int, Fate] = {}
    for c in snapshot.waiting:
        mine = [decided[run.id] for run in c.first if run.id in decided]
        held = [fate for fate in mine if fate.do not in ("admit", "thaw")]
        for run in c.first:
            behind = replace(held[0], do="wait", node=None) if held else None
            fate = decided.get(run.id, behind)
            if fate is not None:
                found[run.id] = fate
    return found


def _fate(decision: Decision) -> Fate:
    if isinstance(decision, Admit):
        return Fate("admit", decision.node)
    if isinstance(decision, Thaw):
        return Fate("thaw", decision.node)
    if isinstance(decision, Preempt):
        return Fate("preempt", decision.node)
    return Fate("wait", None, decision.why.code, decision.why.text)


def _counted(fates: Mapping[int, Fate]) -> dict[str, int]:
    counts = Counter(fate.do for fate in fates.values())
    always = ("admit", "preempt", "wait")
    return {do: counts[do] for do in (*always, *counts)}


def _names(ids: Sequence[int]) -> dict[int, dict[str, str]]:
    rows = Run.objects.filter(pk__in=ids).values_list("pk", "uid", "agent__agent_id")
    return {pk: {"uid": uid, "agent": agent} for pk, uid, agent in rows}
