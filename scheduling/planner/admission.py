"""Decide who may run now. A pure function: same snapshot, same plan.

It goes down the queue once. A run is admitted to the best node with room; failing
that, lower priorities are asked to yield; failing that, its class waits and the plan
says why. Room freed by a preemption is not given out in the same plan: the victim
still holds it until it has really stopped. Where the horizon is known, the first that
waits for room has it reserved, see backfill.py.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import takewhile

from scheduling.planner import backfill, gangs
from scheduling.planner.backfill import Reservation
from scheduling.planner.explain import Blocked, explain
from scheduling.planner.ledger import Ledger
from scheduling.planner.preemption import Victim, cheapest_victims, expect
from scheduling.planner.snapshot import (
    End,
    Grant,
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
    """Ask the victims to yield, each in its way, so that `run` can start then."""

    run: WaitingRun
    node: str
    victims: tuple[Victim, ...]


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let a frozen run go on: its CPU and its slot are there again."""

    run: WaitingRun
    node: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The class's head and all behind it wait; `why` is for people."""

    queue_class: str
    run: WaitingRun
    why: Blocked


Decision = Admit | Preempt | Thaw | Wait
RESERVED = "reserved"


def plan(snapshot: Snapshot) -> list[Decision]:
    """Decisions in queue order. Each class ends with all its shown runs admitted, or
    with exactly one Wait or Preempt for the first that could not be."""
    return written(snapshot)[0]


def written(snapshot: Snapshot) -> tuple[list[Decision], Planning]:
    """The decisions, and how things stand after them."""
    ledger = Ledger(snapshot)
    class_of = {run.id: c for c in snapshot.waiting for run in c.first}
    planning = Planning(snapshot, ledger)
    closed: set[str] = set()
    waits: set[str] = set()  # classes of which one was told to wait, open or closed
    decisions: list[Decision] = []
    for run in in_order(snapshot, closed):
        queue_class = class_of[run.id]
        if queue_class.name in closed:
            continue
        for decision in planning.decide(run, queue_class):
            if isinstance(decision, Admit | Thaw):
                decisions.append(decision)
                continue
            if not (run.gang or is_reserved(decision)):
                closed.add(queue_class.name)  # else a smaller one may still pass
            if queue_class.name not in waits:
                waits.add(queue_class.name)
                decisions.append(decision)
    return decisions, planning


def in_order(
    snapshot: Snapshot, closed: Container[str] = frozenset()
) -> Iterator[WaitingRun]:
    """The shown waiting runs as the queue's mode takes them. A class that is in
    `closed` by the time its next would come is left at once."""
    lines = [_until_closed(c, closed) for c in snapshot.waiting]
    return order(snapshot.mode, lines, now=snapshot.now, ageing=snapshot.ageing)


def _until_closed(line: QueueClass, closed: Container[str]) -> Iterator[WaitingRun]:
    return takewhile(lambda _: line.name not in closed, line.first)


def is_reserved(decision: Decision) -> bool:
    return isinstance(decision, Wait) and decision.why.code == RESERVED


def overtakes(decisions: list[Decision]) -> bool:
    """Whether the plan starts something past a run that waits for room."""
    somebody_waits = False
    for decision in decisions:
        if isinstance(decision, Wait) and backfill.waits_for_room(decision.why.code):
            somebody_waits = True
        elif somebody_waits and (
            not isinstance(decision, Wait) or decision.why.code == "yielding"
        ):
            return True
    return False


class Planning:
    """One plan as it is written."""

    def __init__(self, snapshot: Snapshot, ledger: Ledger) -> None:
        self.horizon = snapshot.horizon
        self.ledger = ledger
        self.reserved: Reservation | None = None
        self.reserved_for: WaitingRun | None = None
        self.ends = list(snapshot.horizon.ends) if snapshot.horizon else []
        self.seen: set[str] = set()  # gangs

    def decide(self, run: WaitingRun, queue_class: QueueClass) -> list[Decision]:
        if run.gang:
            return self.decide_gang(run.gang, queue_class)
        if (why := self.ledger.gate.closed(queue_class)) is not None:
            return [Wait(queue_class.name, run, why)]
        decision = self.decide_one(run, queue_class)
        if isinstance(decision, Wait):
            self.keep_room([run], queue_class, decision.why)
        return [decision]

    def decide_one(self, run: WaitingRun, queue_class: QueueClass) -> Decision:
        ledger, name = self.ledger, queue_class.name
        kept = self.reserved

        def permits(node: str) -> bool:
            return kept is None or kept.permits(run, queue_class, node)

        node = ledger.node_with_room(queue_class, permits if kept else None)
        if node is not None:
            return self.admit(run, queue_class, node)
        if kept is not None and ledger.node_with_room(queue_class) is not None:
            return Wait(name, run, self.why_reserved())
        coming = ledger.node_with_room_coming(queue_class)
        if coming is not None:
            if not permits(coming):
                return Wait(name, run, self.why_reserved())
            ledger.reserve(coming, queue_class.need)
            why = Blocked("yielding", f"waiting for other runs on {coming} to yield")
            return Wait(name, run, why)
        found = cheapest_victims(ledger, queue_class)
        if found is not None and permits(found[0]):
            node, victims = found
            expect(ledger, victims)
            ledger.reserve(node, queue_class.need)
            return Preempt(run, node, victims)
        return Wait(name, run, explain(queue_class, ledger))

    def decide_gang(self, gang: str, queue_class: QueueClass) -> list[Decision]:
        """All of its members that wait, or none."""
        if gang in self.seen:
            return []
        self.seen.add(gang)
        members = [run for run in queue_class.first if run.gang == gang]
        if (why := self.ledger.gate.closed_to(queue_class, len(members))) is not None:
            return [Wait(queue_class.name, members[0], why)]
        kept = self.reserved.copy() if self.reserved else None
        placed = gangs.place(members, queue_class, self.ledger, kept)
        if placed is not None:
            return [self.admit(run, queue_class, node) for run, node in placed]
        free = gangs.place(members, queue_class, self.ledger, None) if kept else None
        if free is not None:
            return [Wait(queue_class.name, members[0], self.why_reserved())]
        why = gangs.explain_gang(members, queue_class, self.ledger)
        self.keep_room(members, queue_class, why)
        return [Wait(queue_class.name, members[0], why)]

    def admit(
        self, run: WaitingRun, queue_class: QueueClass, node: str
    ) -> Admit | Thaw:
        grant = self.ledger.take(node, queue_class, run.id)
        if self.horizon is not None:
            length = self.horizon.lengths.get(run.id)
            ends_at = None if length is None else self.horizon.now + length
            devices = grant.devices if grant else ()
            self.ends.append(End(node, queue_class.need, ends_at, devices))
        if self.reserved is not None:
            self.reserved.note(run, queue_class, node)
        if run.frozen:
            return Thaw(run, node)
        return Admit(run, node, self.ledger.nodes[node].id, grant)

    def keep_room(
        self, members: list[WaitingRun], queue_class: QueueClass, why: Blocked
    ) -> None:
        """For the first that waits for room, from when it could have it on."""
        if self.horizon is None or self.reserved is not None:
            return
        if backfill.waits_for_room(why.code):
            self.reserved = backfill.reserve(
                members,
                queue_class,
                self.ledger,
                self.ends,
                self.horizon.now,
                self.horizon.lengths,
            )
            self.reserved_for = members[0] if self.reserved else None

    def why_reserved(self) -> Blocked:
        assert self.reserved is not None, "only a reservation keeps free room"
        at = f"{self.reserved.at:%Y-%m-%d %H:%M:%S}"
        return Blocked(
            RESERVED,
            "there is room, but it may not be over when a run before it is to have it, "
            f"expected at {at} UTC",
        )
