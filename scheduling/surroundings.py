"""What is around waiting runs: GPUs and ports of nodes, and what runs require.

Read only when some waiting run wants a GPU or has requirements or ports; a tick
without such a run asks the database nothing more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from agents import live_config, requirements
from agents.models import Agent, Node
from agents.requirements import Item
from scheduling import hot_reads, wish_list
from scheduling.live_runs import began_sql
from scheduling.models import Run
from scheduling.planner.snapshot import (
    Device,
    Holding,
    NodeView,
    PortWant,
    QueueClass,
    Snapshot,
    Unmet,
)
from scheduling.run_state import RunState

RUN, NODE, AGENT = Run._meta.db_table, Node._meta.db_table, Agent._meta.db_table
FACTS = f"SELECT name, devices, checks, labels FROM {NODE}"
GIVEN = f"""
SELECT r.id, n.name, r.state = 'stopping', r.devices, r.ports, a.agent_id
FROM {RUN} r JOIN {NODE} n ON n.id = r.node_id JOIN {AGENT} a ON a.id = r.agent_id
WHERE {began_sql("r")} AND (r.devices IS NOT NULL OR r.ports IS NOT NULL)
"""
ANOTHER_PROGRAM = "another program"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node has and has found."""

    devices: tuple[Device, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    holds: frozenset[str] = frozenset()  # keys of the requirements that are met
    busy_ports: frozenset[int] = frozenset()  # had by programs that are not ours


@dataclass(frozen=True, slots=True)
class Given:
    """What a live run was given."""

    id: int
    node: str
    yielding: bool
    devices: tuple[str, ...]
    ports: Mapping[str, int]
    agent: str


def facts() -> dict[str, Facts]:
    return {name: _facts(*columns) for name, *columns in hot_reads.rows(FACTS)}


def _facts(devices: Any, checks: Any, labels: Any) -> Facts:
    found = loaded(checks) or {}
    return Facts(
        devices=tuple(Device(d["id"], d["share"]) for d in loaded(devices) or ()),
        labels=loaded(labels) or {},
        holds=frozenset(found.get("holds", ())),
        busy_ports=frozenset(found.get("busy_ports", ())),
    )


def given() -> list[Given]:
    """What live runs have of their nodes, wherever they are."""
    return [
        Given(
            pk, node, bool(yielding), tuple(loaded(ids) or ()), loaded(ports) or {}, who
        )
        for pk, node, yielding, ids, ports, who in hot_reads.rows(GIVEN)
    ]


def loaded(column: Any) -> Any:
    """A JSON column as a cursor gives it: text on both databases."""
    return orjson.loads(column) if isinstance(column, str | bytes) else column


def seen_by(snapshot: Snapshot, needy: Mapping[str, int]) -> Snapshot:
    """The snapshot with what is around. `needy`: class -> a version of its runs."""
    around, held = facts(), given()
    devices_of = {one.id: one.devices for one in held}
    specs = hot_reads.specs(set(needy.values()))
    of_class = {name: specs[version] for name, version in needy.items()}
    ready = ready_agents(
        {agent for spec in of_class.values() for agent in requirements.agents_of(spec)}
    )
    seen = replace(
        snapshot,
        nodes={n.name: _node(n, around, held) for n in snapshot.nodes.values()},
        holdings=tuple(Holding(o.node, o.devices, o.yielding) for o in held),
        preemptible=tuple(
            replace(run, devices=devices_of.get(run.id, ()))
            for run in snapshot.preemptible
        ),
        waiting=tuple(
            _class(c, of_class[c.name], around, ready) if c.name in of_class else c
            for c in snapshot.waiting
        ),
    )
    labels = {name: known.labels for name, known in around.items()}
    return wish_list.with_wishes(seen, of_class, labels)


def _node(
    node: NodeView, around: Mapping[str, Facts], held: Sequence[Given]
) -> NodeView:
    known = around.get(node.name, Facts())
    taken = dict.fromkeys(known.busy_ports, ANOTHER_PROGRAM)
    for one in held:
        if one.node == node.name:
            taken |= dict.fromkeys(one.ports.values(), f"a run of {one.agent}")
    return replace(node, devices=known.devices, taken=taken)


def _class(
    waiting: QueueClass,
    spec: Mapping[str, Any],
    around: Mapping[str, Facts],
    ready: Collection[str],
) -> QueueClass:
    items = requirements.of(spec)
    unmet = {name: lacking(items, known, ready) for name, known in around.items()}
    return replace(
        waiting,
        unmet={name: why for name, why in unmet.items() if why is not None},
        ports=ports_wanted(spec),
        needy=bool(items or spec.get("ports")),
    )


def lacking(
    items: Sequence[Item], known: Facts, ready: Collection[str]
) -> Unmet | None:
    """What of it a node does not have; its code changes when that does."""
    missing = [(n, i) for n, i in enumerate(items, 1) if not _is_met(i, known, ready)]
    if not missing:
        return None
    numbers = "+".join(str(number) for number, _ in missing)
    text = f"waits for {requirements.said(item for _, item in missing)}"
    return Unmet(f"requires:{numbers}", text)


def _is_met(item: Item, known: Facts, ready: Collection[str]) -> bool:
    kind, value = requirements.kind_and_value(item)
    if kind == "agent":
        return value in ready
    if kind == "capability":
        return requirements.has_label(known.labels, value)
    return requirements.key_of(item) in known.holds


def ports_wanted(spec: Mapping[str, Any]) -> tuple[PortWant, ...]:
    """The ports of the node a run wants. A single one of a container is inside it:
    outside any will do."""
    anywhere = live_config.current().nodes.ports
    wants = []
    for name, ends in (spec.get("ports") or {}).items():
        first, last = ends
        inside = spec["exec_env"] == "docker" and first == last
        if inside or tuple(ends) == requirements.AUTO:
            first, last = anywhere
        wants.append(PortWant(name, first, last))
    return tuple(wants)


# -- agents that others wait for -------------------------------------------------------

LIVE = f"""
SELECT a.agent_id, r.version_id, r.ready_at IS NOT NULL
FROM {RUN} r JOIN {AGENT} a ON a.id = r.agent_id
WHERE {began_sql("r")} AND r.state IN ('running', 'suspended') AND
"""
DONE = f"""
SELECT a.agent_id FROM {AGENT} a WHERE a.kind <> 'persistent' AND (
  SELECT r.state FROM {RUN} r WHERE r.agent_id = a.id
  ORDER BY r.id DESC LIMIT 1) = '{RunState.SUCCEEDED}' AND
"""


def ready_agents(names: Collection[str]) -> set[str]:
    """Those that others may start after: they serve, or came to their end well.

    One that says when it is ready counts from then on, another from its start.
    """
    if not names:
        return set()
    said, parameter = hot_reads.among("a.agent_id", names)
    live = hot_reads.rows(f"{LIVE} {said}", [parameter])
    specs = hot_reads.specs({version for _, version, _ in live})
    serving = {
        name
        for name, version, is_ready in live
        if is_ready or not specs[version].get("readiness")
    }
    return serving | {row[0] for row in hot_reads.rows(f"{DONE} {said}", [parameter])}


def by_node(held: Sequence[Given]) -> dict[str, list[Given]]:
    found: dict[str, list[Given]] = defaultdict(list)
    for one in held:
        found[one.node].append(one)
    return found
