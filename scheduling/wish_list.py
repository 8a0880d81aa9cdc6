"""What waiting runs wish of their nodes: labels, neighbours, taints, bandwidth.

Read only when some waiting run has a placement or a bandwidth; see surroundings.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.models import Agent, Node
from agents.requirements import MARK
from scheduling import hot_reads
from scheduling.live_runs import began_sql
from scheduling.models import Run
from scheduling.planner.snapshot import (
    UNLIMITED,
    NodeView,
    Occupied,
    QueueClass,
    Resources,
    Snapshot,
    Unmet,
)
from scheduling.planner.wishes import Near, Wishes

RUN, NODE, AGENT = Run._meta.db_table, Node._meta.db_table, Agent._meta.db_table
Spec = Mapping[str, Any]
Labels = Mapping[str, Any]
# a run that uses a bandwidth has a marked class
MARKED = f"""
SELECT r.id, n.name, r.state = 'stopping', r.version_id
FROM {RUN} r JOIN {NODE} n ON n.id = r.node_id
WHERE {began_sql("r")} AND r.queue_class LIKE %s
"""
NEIGHBOURS = f"""
SELECT n.name, r.version_id, count(*)
FROM {RUN} r JOIN {NODE} n ON n.id = r.node_id
WHERE {began_sql("r")} GROUP BY 1, 2
"""
VERSIONS = f"SELECT id, version_id FROM {RUN} WHERE"
BANDWIDTHS = f"SELECT name, bandwidth_bps FROM {NODE}"


def with_wishes(
    snapshot: Snapshot, specs: Mapping[str, Spec], labels: Mapping[str, Labels]
) -> Snapshot:
    """The snapshot with the wishes of these classes. `labels`: of each node."""
    if any(spec.get("placement") for spec in specs.values()):
        snapshot = replace(
            snapshot,
            waiting=tuple(
                _wishing(c, specs[c.name].get("placement") or {}, labels)
                if c.name in specs
                else c
                for c in snapshot.waiting
            ),
        )
    if any(c.wishes.near for c in snapshot.waiting):
        snapshot = _with_neighbours(snapshot)
    if any(spec.get("bandwidth_bps") for spec in specs.values()):
        snapshot = _with_bandwidth(snapshot, specs)
    return snapshot


def wishes_of(placement: Spec, labels: Mapping[str, Labels]) -> Wishes:
    liked = {
        node: weight
        for node, has in labels.items()
        if (weight := sum(p["weight"] for p in preferred(placement, has)))
    }
    return Wishes(
        liked=liked,
        near=tuple(_near(placement)),
        strategy=placement.get("strategy", ""),
        tolerates=tuple(placement.get("tolerate", ())),
    )


def preferred(placement: Spec, has: Labels) -> list[Spec]:
    found = placement.get("prefer", ())
    return [p for p in found if lacking(p["labels"], has) is None]


def _near(placement: Spec) -> list[Near]:
    return [
        Near(name_of(one), key == "apart", one["hard"], one["weight"])
        for key in ("with", "apart")
        for one in placement.get(key, ())
    ]


def name_of(neighbour: Spec) -> str:
    kind = "agent" if "agent" in neighbour else "tag"
    return f"{kind}:{neighbour[kind]}"


def lacking(wanted: Mapping[str, Sequence[str]], has: Labels) -> str | None:
    """The first label that is not there or has another value, for people."""
    for label, values in wanted.items():
        found = has.get(label)
        if found is None or found is False or (values and str(found) not in values):
            return f"{label} = {' or '.join(values)}" if values else f"a label {label}"
    return None


def bar_of(placement: Spec, node: str, has: Labels) -> Unmet | None:
    """Why the node is none of those it may be on."""
    allowed = placement.get("nodes", ())
    if allowed and node not in allowed:
        return Unmet("nodes", f"may only be on {', '.join(allowed)}")
    if missing := lacking(placement.get("require", {}), has):
        return Unmet("labels", f"needs a node with {missing}")
    return None


def _wishing(
    waiting: QueueClass, placement: Spec, labels: Mapping[str, Labels]
) -> QueueClass:
    bars = {node: bar_of(placement, node, has) for node, has in labels.items()}
    found = {node: bar for node, bar in bars.items() if bar is not None}
    return replace(
        waiting,
        unmet={**waiting.unmet, **found},
        wishes=wishes_of(placement, labels),
    )


# -- who is where ----------------------------------------------------------------------


def names_of(spec: Spec) -> frozenset[str]:
    """What others call a run of this definition."""
    tags = (f"tag:{tag}" for tag in spec.get("tags", ()))
    return frozenset({f"agent:{spec['agent_id']}", *tags})


def _with_neighbours(snapshot: Snapshot) -> Snapshot:
    live = hot_reads.rows(NEIGHBOURS)
    waiting = _versions({run.id for c in snapshot.waiting for run in c.first})
    specs = hot_reads.specs({row[1] for row in live} | set(waiting.values()))
    here: dict[str, Counter[str]] = defaultdict(Counter)
    for node, version, count in live:
        here[node].update(dict.fromkeys(names_of(specs[version]), count))
    return replace(
        snapshot,
        nodes={
            n.name: replace(n, here=dict(here[n.name])) for n in snapshot.nodes.values()
        },
        names={run: names_of(specs[version]) for run, version in waiting.items()},
    )


def _versions(run_ids: Collection[int]) -> dict[int, int]:
    said, parameter = hot_reads.among("id", run_ids)
    return dict(hot_reads.rows(f"{VERSIONS} {said}", [parameter]))  # type: ignore[arg-type]


# -- bandwidth -------------------------------------------------------------------------


def _with_bandwidth(snapshot: Snapshot, specs: Mapping[str, Spec]) -> Snapshot:
    has = dict(hot_reads.rows(BANDWIDTHS))  # type: ignore[arg-type]
    live = hot_reads.rows(MARKED, [f"%{MARK}%"])
    of_version = hot_reads.specs({row[3] for row in live})
    used = {
        pk: (node, bool(yielding), Resources(bandwidth_bps=bps))
        for pk, node, yielding, version in live
        if (bps := of_version[version].get("bandwidth_bps"))
    }
    return replace(
        snapshot,
        nodes={n.name: _wide(n, has.get(n.name)) for n in snapshot.nodes.values()},
        occupied=(
            *snapshot.occupied,
            *(Occupied(node, need, 0, y) for node, y, need in used.values()),
        ),
        preemptible=tuple(
            replace(run, need=run.need + used[run.id][2]) if run.id in used else run
            for run in snapshot.preemptible
        ),
        waiting=tuple(
            replace(c, need=c.need + Resources(bandwidth_bps=bps))
            if (bps := (specs.get(c.name) or {}).get("bandwidth_bps"))
            else c
            for c in snapshot.waiting
        ),
    )


def _wide(node: NodeView, bps: int | None) -> NodeView:
    room = Resources(bandwidth_bps=UNLIMITED if bps is None else bps)
    return replace(node, capacity=node.capacity + room)
