"""Decide who may run now. A pure function: same snapshot, same plan.

It goes down the queue once. A run is admitted to the first node with room; failing
that, lower priorities are asked to yield; failing that, its class waits and the plan
says why. Room freed by a preemption is not given out in the same plan: the victim
still holds it until it has really stopped.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import takewhile

from scheduling.planner.explain import Blocked, explain
from scheduling.planner.ledger import Ledger
from scheduling.planner.preemption import cheapest_victims
from scheduling.planner.snapshot import (
    Grant,
    HeldRun,
    QueueClass,
    Snapshot,
    WaitingRun,
)
from scheduling.task_queue import order


@dataclass(frozen=True, slots=True)
class Admit:
    run: WaitingRun
    node: str
    node_id: int = 0
    grant: Grant | None = None  # for most runs there is nothing to say


@dataclass(frozen=True, slots=True)
class Preempt:
    """Ask the victims to stop so that `run` can start when they have gone."""

    run: WaitingRun
    node: str
    victims: tuple[HeldRun, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """The class's head and all behind it wait; `why` is for people."""

    queue_class: str
    run: WaitingRun
    why: Blocked


Decision = Admit | Preempt | Wait


def plan(snapshot: Snapshot) -> list[Decision]:
    """Decisions in queue order. Each class ends with all its shown runs admitted, or
    with exactly one Wait or Preempt for the first that could not be."""
    ledger = Ledger(snapshot)
    class_of = {run.id: c for c in snapshot.waiting for run in c.first}
    closed: set[str] = set()
    decisions: list[Decision] = []
    for run in in_order(snapshot, closed):
        queue_class = class_of[run.id]
        if queue_class.name in closed:
            continue
        decision = _decide(run, queue_class, ledger)
        decisions.append(decision)
        if not isinstance(decision, Admit):
            closed.add(queue_class.name)
    return decisions


def in_order(
    snapshot: Snapshot, closed: Container[str] = frozenset()
) -> Iterator[WaitingRun]:
    """The shown waiting runs as the queue's mode takes them. A class that is in
    `closed` by the time its next would come is left at once."""
    lines = [_until_closed(c, closed) for c in snapshot.waiting]
    return order(snapshot.mode, lines, now=snapshot.now, ageing=snapshot.ageing)


def _until_closed(line: QueueClass, closed: Container[str]) -> Iterator[WaitingRun]:
    return takewhile(lambda _: line.name not in closed, line.first)


def _decide(run: WaitingRun, queue_class: QueueClass, ledger: Ledger) -> Decision:
    node = ledger.node_with_room(queue_class)
    if node is not None:
        grant = ledger.take(node, queue_class)
        return Admit(run, node, ledger.nodes[node].id, grant)
    coming = ledger.node_with_room_coming(queue_class)
    if coming is not None:
        ledger.reserve(coming, queue_class.need)
        why = Blocked("yielding", f"waiting for other runs on {coming} to stop")
        return Wait(queue_class.name, run, why)
    if (found := cheapest_victims(ledger, queue_class)) is not None:
        node, victims = found
        ledger.expect(node, victims)
        ledger.reserve(node, queue_class.need)
        return Preempt(run, node, victims)
    return Wait(queue_class.name, run, explain(queue_class, ledger))
