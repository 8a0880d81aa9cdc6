"""The preemption ladder: what is short decides how far it is climbed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner.admission import Admit, Preempt, Thaw, Wait, plan
from scheduling.planner.ledger import Ledger
from scheduling.planner.preemption import Victim, cheapest_victims
from scheduling.planner.rungs import Rung, frees_devices, gain
from scheduling.planner.snapshot import HeldRun, Occupied, QueueClass, Snapshot
from tests.unit.test_admission import cpu, line, node, room_left, snap

ALL = frozenset(Rung)
F, R, C, S = Rung.FREEZE, Rung.RECLAIM, Rung.CHECKPOINT, Rung.STOP


def low(number: int, cores: float = 1, memory_gb: float = 2, **also) -> HeldRun:
    also.setdefault("rungs", frozenset({F, S}))
    also.setdefault("priority", 1)
    return HeldRun(number, "n1", need=cpu(cores, memory_gb), **also)


def asked(decision: object) -> dict[int, Rung]:
    assert isinstance(decision, Preempt)
    return {v.id: v.rung for v in decision.victims}


def urgent(cores: float = 1, memory_gb: float = 0, gpus: int = 0, **also) -> QueueClass:
    return line("urgent", cpu(cores, memory_gb, gpus), 4, (99,), **also)


def test_where_only_cpu_is_short_freezing_is_enough() -> None:
    (decision,) = plan(snap([urgent(1)], [low(1), low(2, rungs=ALL)]))
    assert asked(decision) == {2: F}


def test_a_slot_alone_is_given_by_freezing() -> None:
    holding = [low(1, 0.5, 0), low(2, 0.5, 0)]
    (decision,) = plan(snap([urgent(0.5)], holding, slots=2))
    assert list(asked(decision).values()) == [F]


def test_memory_is_reclaimed_where_the_node_is_able() -> None:
    (decision,) = plan(snap([urgent(0.5, 6)], [low(1, 0.5, 4, rungs=ALL)]))
    assert asked(decision) == {1: R}


def test_memory_that_cannot_be_reclaimed_needs_a_checkpoint_or_else_an_end() -> None:
    saves = low(1, 0.5, 4, rungs=frozenset({F, C, S}))
    does_not = low(2, 0.5, 4)
    (decision,) = plan(snap([urgent(0.5, 4)], [saves, does_not]))
    assert asked(decision) == {1: C}
    (decision,) = plan(snap([urgent(0.5, 8)], [saves, does_not]))
    assert asked(decision) == {1: C, 2: S}


def test_a_gpu_is_never_freed_by_freezing() -> None:
    has = node(has=cpu(4, 8, 1))
    holder = replace(low(1, rungs=frozenset({F, R, S})), devices=("0",))
    holder = replace(holder, need=replace(holder.need, gpus=1))
    (decision,) = plan(snap([urgent(1, 1, 1)], [holder], nodes=[has]))
    assert asked(decision) == {1: S}


def test_among_those_that_must_end_the_one_with_the_least_work_to_lose_does() -> None:
    old = low(1, 1, 4, ran_s=3600, rungs=frozenset({S}))
    young = low(2, 1, 4, ran_s=5, rungs=frozenset({S}))
    (decision,) = plan(snap([urgent(1, 4)], [old, young]))
    assert asked(decision) == {2: S}


def test_nobody_ends_where_freezing_others_of_higher_priority_is_enough() -> None:
    ends = low(1, 1, 2, priority=0, rungs=frozenset({S}))
    freezes = low(2, 1, 2, priority=2)
    (decision,) = plan(snap([urgent(1)], [ends, freezes]))
    assert asked(decision) == {2: F}


def frozen(number: int, need: object, priority: int = 1, **also) -> QueueClass:
    own = line(f"thaw/{number}", need, priority, (number,), pinned_node="n1", **also)
    return replace(own, first=tuple(replace(r, frozen=True) for r in own.first))


def test_a_frozen_run_goes_on_when_its_cpu_and_a_slot_are_there() -> None:
    (decision,) = plan(snap([frozen(7, cpu(2))]))
    assert isinstance(decision, Thaw)
    (decision,) = plan(snap([frozen(7, cpu(2))], slots=0))
    assert isinstance(decision, Wait)


def test_who_is_more_urgent_comes_before_a_frozen_run() -> None:
    first, second = plan(snap([frozen(7, cpu(1)), line("m", cpu(2), 3, (8,))]))
    assert (type(first), first.run.id) == (Admit, 8)
    assert isinstance(second, Wait)


def test_a_cordoned_node_lets_go_on_what_is_frozen_there_but_takes_nothing() -> None:
    nodes = [node(open=False)]
    both = [frozen(7, cpu(1)), line("m", cpu(1), 3, (8,))]
    decisions = {d.run.id: type(d) for d in plan(snap(both, nodes=nodes))}
    assert decisions == {7: Thaw, 8: Wait}


def test_a_frozen_run_gives_only_its_memory_and_only_on_a_higher_rung() -> None:
    rests = replace(low(1, 0, 6, rungs=frozenset({S})), slots=0)
    there = snap([urgent(1, 4)], [rests])
    there = replace(there, occupied=(Occupied("n1", rests.need, 0),))
    (decision,) = plan(there)
    assert asked(decision) == {1: S}
    (decision,) = plan(replace(there, slots=0))
    assert isinstance(decision, Wait)  # it has no slot to give


# -- whatever the world looks like ----------------------------------------------------

rungs_of = st.sets(st.sampled_from([F, R, C])).map(lambda s: frozenset(s | {S}))


@st.composite
def worlds(draw) -> Snapshot:
    """Runs that hold a node, some frozen; the frozen wait, and so do others."""
    nodes = [node(f"n{i}", cpu(4, 8, draw(st.integers(0, 1)))) for i in range(2)]
    free = {n.name: n.capacity for n in nodes}
    holding, occupied, waiting, slots = [], [], [], 0
    for number in range(draw(st.integers(0, 7))):
        rests = draw(st.booleans())
        core = draw(st.sampled_from([0.5, 1, 2]))
        need = cpu(0 if rests else core, draw(st.integers(0, 4)))
        need = replace(need, gpus=0 if rests else draw(st.integers(0, 1)))
        name = draw(st.sampled_from(sorted(free)))
        if free[name].lacks(need):
            continue
        free[name] -= need
        priority, rungs = draw(st.integers(0, 4)), draw(rungs_of)
        held = HeldRun(
            number,
            name,
            priority,
            need,
            devices=("0",) if need.gpus else (),
            rungs=rungs - {F} if rests else rungs,
            slots=int(not rests),
            ran_s=draw(st.integers(0, 100)),
        )
        holding.append(held)
        slots += held.slots
        occupied.append(Occupied(name, need, held.slots))
        if rests:
            own = frozen(number, cpu(core), priority)
            waiting.append(replace(own, pinned_node=name))
    for number in range(draw(st.integers(1, 3))):
        need = cpu(
            draw(st.sampled_from([0.5, 2, 4])),
            draw(st.sampled_from([0, 2, 6])),
            draw(st.sampled_from([0, 0, 1])),
        )
        waiting.append(
            line(f"w{number}", need, draw(st.integers(0, 4)), (100 + number,))
        )
    return Snapshot(
        nodes={n.name: n for n in nodes},
        occupied=tuple(occupied),
        preemptible=tuple(holding),
        waiting=tuple(waiting),
        slots=slots + draw(st.integers(0, 2)),
    )


def is_enough(snapshot: Snapshot, name: str, wanted: QueueClass, victims) -> bool:
    """Told anew, without the planner's own bookkeeping."""
    ledger = Ledger(snapshot)
    room, slots = ledger.coming[name], ledger.slots_coming
    for v in victims:
        slots += v.run.slots
        if v.node == name:
            room += gain(v.run, v.rung)
    return slots > 0 and not room.lacks(wanted.need)


@given(worlds())
def test_no_victim_is_needless_and_none_yields_more_than_needed(world) -> None:
    for wanted in world.waiting:
        found = cheapest_victims(Ledger(world), wanted)
        if found is None:
            continue
        name, victims = found
        assert is_enough(world, name, wanted, victims)
        assert all(v.priority < wanted.priority for v in victims)
        assert all(v.rung in v.run.rungs for v in victims)
        for one in victims:
            others = [v for v in victims if v is not one]
            assert not is_enough(world, name, wanted, others)
            for rung in (r for r in one.run.rungs if r < one.rung):
                lower = [*others, Victim(one.run, Rung(rung))]
                assert not is_enough(world, name, wanted, lower)


@given(worlds())
def test_no_run_ends_where_freezing_and_reclaiming_would_do(world) -> None:
    for wanted in world.waiting:
        ledger = Ledger(world)
        found = cheapest_victims(ledger, wanted)
        if found is None or ledger.node_with_room_coming(wanted):
            continue
        most = max(v.rung for v in found[1])
        below = [v for v in world.preemptible if v.priority < wanted.priority]
        cheaper = [
            Victim(v, Rung(max(r for r in v.rungs if r < most)))
            for v in below
            if any(r < most for r in v.rungs)
        ]
        for name in ledger.usable(wanted):
            for count in range(1, len(cheaper) + 1):
                for some in combinations(cheaper, count):
                    assert not is_enough(world, name, wanted, some)


@given(worlds())
def test_with_frozen_runs_too_a_plan_never_gives_out_more_than_there_is(world) -> None:
    decisions = plan(world)
    left = room_left(world, decisions)
    need = {run.id: c.need for c in world.waiting for run in c.first}
    slots = world.slots - sum(held.slots for held in world.occupied)
    for decision in decisions:
        if isinstance(decision, Thaw):
            left[decision.node] -= need[decision.run.id]
        slots -= isinstance(decision, Admit | Thaw)
    assert all(min(r.cpu_millis, r.memory_bytes, r.gpus) >= 0 for r in left.values())
    assert slots >= 0 or not any(isinstance(d, Admit | Thaw) for d in decisions)


def test_only_an_end_frees_a_device() -> None:
    assert [r for r in Rung if frees_devices(r)] == [C, S]
