"""What every plan holds, whatever the situation: no more is given out than there is,
nobody is asked to stop in vain, and everybody is told why they wait."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner.admission import Admit, Decision, Preempt, Wait, in_order, plan
from scheduling.planner.preemption import Victim
from scheduling.planner.snapshot import (
    NodeView,
    QueueClass,
    Snapshot,
    WaitingRun,
)
from tests.unit.situations import Situation, devices_of, situation

situations = st.randoms(use_true_random=False).map(situation)


class Room:
    """What is left, counted apart from the planner's own books."""

    def __init__(self, snapshot: Snapshot, *, with_yielding: bool = True) -> None:
        """`with_yielding`: those that were asked to stop still hold what they have."""
        self.nodes = snapshot.nodes
        self.free = {n.name: n.capacity for n in snapshot.nodes.values()}
        self.slots = snapshot.slots
        self.gpus = {name: Counter[str]() for name in snapshot.nodes}
        self.ports = {name: set(n.taken) for name, n in snapshot.nodes.items()}
        for held in snapshot.occupied:
            if with_yielding or not held.yielding:
                self.free[held.node] -= held.need
                self.slots -= held.slots
        for one in snapshot.holdings:
            if with_yielding or not one.yielding:
                self.gpus[one.node].update(one.devices)

    def unused(self, node: NodeView) -> list[str]:
        used = self.gpus[node.name]
        return [d.id for d in devices_of(node) if used[d.id] < d.share]

    def fits(self, wanted: QueueClass, node: NodeView) -> bool:
        return (
            self.slots > 0
            and allowed(wanted, node)
            and self.has_ports(wanted, node)
            and not self.free[node.name].lacks(wanted.need)
            and len(self.unused(node)) >= wanted.need.gpus
        )

    def has_ports(self, wanted: QueueClass, node: NodeView) -> bool:
        return all(
            set(range(want.first, want.last + 1)) - self.ports[node.name]
            for want in wanted.ports
        )

    def take(self, wanted: QueueClass, node: str, devices=()) -> None:
        self.free[node] -= wanted.need
        self.slots -= 1
        self.gpus[node].update(devices)

    def give_back(self, victim: Victim) -> None:
        held = victim.run
        self.free[held.node] += held.need
        self.slots += 1
        self.gpus[held.node].subtract(held.devices)


def allowed(wanted: QueueClass, node: NodeView) -> bool:
    return (
        node.open
        and wanted.environment in node.environments
        and wanted.pinned_node in ("", node.name)
        and node.name not in wanted.unmet
    )


def class_of(snapshot: Snapshot, run: WaitingRun) -> QueueClass:
    return next(c for c in snapshot.waiting if run in c.first)


def admits(decisions: list[Decision]) -> list[Admit]:
    return [d for d in decisions if isinstance(d, Admit)]


def devices_given(decision: Admit) -> tuple[str, ...]:
    return decision.grant.devices if decision.grant else ()


@given(situations)
def test_a_plan_never_gives_out_more_than_there_is(drawn: Situation) -> None:
    snapshot, room = drawn.snapshot, Room(drawn.snapshot)
    for decision in admits(plan(snapshot)):
        wanted = class_of(snapshot, decision.run)
        node = snapshot.nodes[decision.node]
        assert room.fits(wanted, node)
        devices = devices_given(decision)
        assert len(set(devices)) == wanted.need.gpus
        assert set(devices) <= set(room.unused(node))
        ports = decision.grant.ports if decision.grant else {}
        assert set(ports) == {want.name for want in wanted.ports}
        for want in wanted.ports:
            assert want.first <= ports[want.name] <= want.last
            assert ports[want.name] not in room.ports[node.name]
        room.take(wanted, node.name, devices)
        room.ports[node.name] |= set(ports.values())


@given(situations)
def test_no_victim_is_as_urgent_as_whom_it_makes_room_for(drawn: Situation) -> None:
    asked = list[int]()
    may = {held.id: held.priority for held in drawn.snapshot.preemptible}
    for decision in plan(drawn.snapshot):
        if isinstance(decision, Preempt):
            wanted = class_of(drawn.snapshot, decision.run)
            assert decision.victims
            assert all(may[v.id] < wanted.priority for v in decision.victims)
            asked += [v.id for v in decision.victims]
    assert len(asked) == len(set(asked))


@given(situations)
def test_without_any_one_of_its_victims_a_run_would_lack_something(
    drawn: Situation,
) -> None:
    """Of the first that asks somebody to stop: nothing is reserved before it but what
    was just admitted."""
    snapshot, decisions = drawn.snapshot, plan(drawn.snapshot)
    first = next((d for d in decisions if not isinstance(d, Admit)), None)
    if not isinstance(first, Preempt):
        return
    wanted, node = class_of(snapshot, first.run), snapshot.nodes[first.node]
    before = decisions[: decisions.index(first)]

    def fits_without(victims: tuple[Victim, ...]) -> bool:
        room = Room(snapshot, with_yielding=False)
        for decision in admits(before):
            mine = class_of(snapshot, decision.run)
            room.take(mine, decision.node, devices_given(decision))
        for victim in victims:
            room.give_back(victim)
        return room.fits(wanted, node)

    assert fits_without(first.victims)
    for victim in first.victims:
        assert not fits_without(tuple(v for v in first.victims if v != victim))


@given(situations)
def test_the_same_snapshot_gives_the_same_plan(drawn: Situation) -> None:
    before = deepcopy(drawn.snapshot)
    first = plan(drawn.snapshot)
    assert drawn.snapshot == before
    assert plan(drawn.snapshot) == first == plan(before)


@given(situations)
def test_every_waiting_run_is_decided_or_stands_behind_one_with_a_reason(
    drawn: Situation,
) -> None:
    decisions = {d.run.id: d for d in plan(drawn.snapshot)}
    for line in drawn.snapshot.waiting:
        closed = False
        for run in line.first:
            decision = decisions.get(run.id)
            assert (decision is None) == closed
            if decision is not None and not isinstance(decision, Admit):
                closed = True
            if isinstance(decision, Wait):
                assert decision.why.code
                assert "unknown" not in decision.why.text
                assert decision.why.text


@given(situations)
def test_the_first_in_line_that_fits_is_admitted(drawn: Situation) -> None:
    """Where no room is on its way to somebody: nobody stops, nobody can be asked to."""
    snapshot = drawn.snapshot
    if snapshot.preemptible or any(o.yielding for o in snapshot.occupied):
        return
    room = Room(snapshot)
    fitting = [
        run.id
        for run in in_order(snapshot)
        if any(room.fits(class_of(snapshot, run), n) for n in room.nodes.values())
    ]
    assert [a.run.id for a in admits(plan(snapshot))][:1] == fitting[:1]


def test_the_situations_have_something_of_everything() -> None:
    """Else the properties above would hold of nothing."""
    seen = Counter[str]()
    for seed in range(1000):
        drawn = situation(Random(seed))
        for decision in plan(drawn.snapshot):
            seen[type(decision).__name__] += 1
            if isinstance(decision, Wait):
                seen[decision.why.code.partition(":")[0]] += 1
            elif isinstance(decision, Admit) and decision.grant:
                seen["gpus"] += bool(decision.grant.devices)
                seen["ports"] += bool(decision.grant.ports)
    kinds = ("Admit", "Preempt", "Wait", "gpus", "ports", "busy", "never", "slots")
    more = ("yielding", "env", "closed", "requires", "no_node", "pinned")
    assert {kind for kind in (*kinds, *more) if seen[kind] < 20} == set()
