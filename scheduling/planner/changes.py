"""What could be done so that a run starts, and the situation once it is done. Pure.

A Change is one thing a person can do; `applied` is the snapshot after it. What is
proposed is always tried here first, with the same plan that will decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from scheduling.planner.admission import Admit, plan
from scheduling.planner.forward import Running, find
from scheduling.planner.snapshot import (
    NOTHING,
    Device,
    Holding,
    Horizon,
    NodeView,
    Occupied,
    Resources,
    Snapshot,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do. Which fields count depends on the kind."""

    kind: str  # one of KINDS
    node: str = ""
    runs: tuple[int, ...] = ()
    amount: Resources = NOTHING  # more of the node
    slots: int = 0  # more than there are
    environment: str = ""


KINDS = (
    "wait",  # nothing: whose room it is given are stopping
    "boost",  # put it to the front
    "config",  # more slots
    "stop",  # end these runs
    "hold",  # keep these from starting
    "open",  # uncordon the node, or bring it back
    "ports",  # free the ports it wants
    "requirement",  # provide what it requires
    "environment",  # offer its environment on the node
    "capacity",  # a larger node
    "node",  # another node
)


@dataclass(frozen=True, slots=True)
class Case:
    """One run that waits, in its situation."""

    snapshot: Snapshot
    running: Mapping[int, Running]
    run_id: int
    done: tuple[Change, ...] = field(default=())

    def after(self, changes: Iterable[Change]) -> Case:
        case = self
        for change in changes:
            snapshot = applied(case, change)
            case = replace(case, snapshot=snapshot, done=(*case.done, change))
        return case

    def starts(self) -> bool:
        """Whether the next plan admits it."""
        decisions = plan(self.snapshot)
        return any(isinstance(d, Admit) and d.run.id == self.run_id for d in decisions)

    def starts_after(self, changes: Iterable[Change]) -> bool:
        return self.after(changes).starts()

    def alone(self) -> Case:
        """As if nobody else waited."""
        line, run = find(self.snapshot, self.run_id)
        snapshot = replace(self.snapshot, waiting=(replace(line, first=(run,)),))
        return replace(self, snapshot=snapshot)


def applied(case: Case, change: Change) -> Snapshot:
    snapshot = case.snapshot
    match change.kind:
        case "wait":
            gone = [o for o in snapshot.occupied if not o.yielding]
            held = [h for h in snapshot.holdings if not h.yielding]
            return replace(snapshot, occupied=tuple(gone), holdings=tuple(held))
        case "stop":
            for pk in change.runs:
                snapshot = without(snapshot, case.running[pk])
            return snapshot
        case "config":
            return replace(snapshot, slots=snapshot.slots + change.slots)
        case "hold":
            return held_back(snapshot, set(change.runs))
        case "boost":
            return boosted(snapshot, case.run_id)
        case "requirement":
            return provided(snapshot, case.run_id, change.node)
        case "node":
            return with_node(case, change)
        case _:
            return with_better(case, change)


def without(snapshot: Snapshot, gone: Running) -> Snapshot:
    """As if the run had ended. Its room is taken off the sum it is part of."""
    back = Occupied(gone.node, NOTHING - gone.need, -1, yielding=gone.yielding)
    holdings = list(snapshot.holdings)
    mine = Holding(gone.node, gone.devices, gone.yielding)
    if mine in holdings:
        holdings.remove(mine)
    nodes = dict(snapshot.nodes)
    if gone.ports and gone.node in nodes:
        node = nodes[gone.node]
        taken = {p: who for p, who in node.taken.items() if p not in gone.ports}
        nodes[gone.node] = replace(node, taken=taken)
    return replace(
        snapshot,
        nodes=nodes,
        occupied=(*snapshot.occupied, back),
        preemptible=tuple(h for h in snapshot.preemptible if h.id != gone.id),
        holdings=tuple(holdings),
        horizon=_without_end(snapshot.horizon, gone.id),
    )


def _without_end(horizon: Horizon | None, run_id: int) -> Horizon | None:
    if horizon is None:
        return None
    return replace(horizon, ends=tuple(e for e in horizon.ends if e.run != run_id))


def held_back(snapshot: Snapshot, away: set[int]) -> Snapshot:
    kept = []
    for line in snapshot.waiting:
        first = tuple(run for run in line.first if run.id not in away)
        if first:
            kept.append(replace(line, first=first))
    return replace(snapshot, waiting=tuple(kept))


def boosted(snapshot: Snapshot, run_id: int) -> Snapshot:
    line, run = find(snapshot, run_id)
    rest = held_back(snapshot, {run_id})
    first = replace(line, name=f"!{line.name}", first=(replace(run, front=True),))
    return replace(rest, waiting=(*rest.waiting, first))


def provided(snapshot: Snapshot, run_id: int, node: str) -> Snapshot:
    line, _ = find(snapshot, run_id)
    unmet = {name: why for name, why in line.unmet.items() if name != node}
    met = replace(line, unmet=unmet)
    waiting = tuple(met if one is line else one for one in snapshot.waiting)
    return replace(snapshot, waiting=waiting)


def with_node(case: Case, change: Change) -> Snapshot:
    """One more node, under the name the run is pinned to, if it is."""
    line, _ = find(case.snapshot, case.run_id)
    node = NodeView(
        change.node,
        change.amount,
        frozenset({change.environment}),
        devices=tuple(Device(f"gpu{n}") for n in range(line.need.gpus)),
    )
    nodes = {**case.snapshot.nodes, change.node: node}
    return replace(case.snapshot, nodes=nodes)


def with_better(case: Case, change: Change) -> Snapshot:
    """One node changed: open, larger, with an environment more, or with free ports."""
    node = case.snapshot.nodes[change.node]
    line, _ = find(case.snapshot, case.run_id)
    if change.kind == "open":
        better = replace(node, open=True)
    elif change.kind == "environment":
        offered = node.environments | {change.environment}
        better = replace(node, environments=offered)
    elif change.kind == "ports":
        wanted = {p for w in line.ports for p in range(w.first, w.last + 1)}
        taken = {p: who for p, who in node.taken.items() if p not in wanted}
        better = replace(node, taken=taken)
    else:
        more = [Device(f"new{n}") for n in range(change.amount.gpus)]
        devices = (*node.devices, *more) if node.devices else ()
        capacity = node.capacity + change.amount
        better = replace(node, capacity=capacity, devices=devices)
    return replace(case.snapshot, nodes={**case.snapshot.nodes, node.name: better})
