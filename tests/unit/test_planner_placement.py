"""Which node a run gets: what it likes, who is there, taints, bandwidth, pressure."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner import pressure
from scheduling.planner.admission import Admit, Preempt, Wait, plan
from scheduling.planner.snapshot import HeldRun, Measured, Resources
from scheduling.planner.wishes import Near, Wishes
from tests.unit.test_admission import cpu, line, node, snap

GB = 10**9
PAIR = [node("n1", cpu(4, 8)), node("n2", cpu(4, 8))]


def places(decisions) -> list[str]:
    return [d.node for d in decisions if isinstance(d, Admit)]


def busy(name: str, cores: float) -> HeldRun:
    return HeldRun(99, name, 4, cpu(cores))


def test_spread_takes_the_emptiest_and_pack_the_fullest() -> None:
    asked = [line("a", cpu(1), runs=(1,))]
    holding = [busy("n1", 1)]
    assert places(plan(snap(asked, holding, nodes=PAIR))) == ["n2"]
    assert places(plan(snap(asked, holding, nodes=PAIR, strategy="pack"))) == ["n1"]


def test_runs_of_one_plan_spread_too() -> None:
    four = [line("a", cpu(1), runs=range(1, 5))]
    assert Counter(places(plan(snap(four, nodes=PAIR)))) == {"n1": 2, "n2": 2}
    packed = plan(snap(four, nodes=PAIR, strategy="pack"))
    assert places(packed) == ["n1"] * 4


def test_a_run_may_say_its_own_strategy() -> None:
    asked = [line("a", cpu(1), wishes=Wishes(strategy="pack"))]
    assert places(plan(snap(asked, [busy("n1", 1)], nodes=PAIR))) == ["n1"]


def test_what_is_liked_counts_before_the_strategy() -> None:
    asked = [line("a", cpu(1), wishes=Wishes(liked={"n1": 5}))]
    assert places(plan(snap(asked, [busy("n1", 2)], nodes=PAIR))) == ["n1"]
    full = plan(snap(asked, [busy("n1", 4)], nodes=PAIR, preemption=False))
    assert places(full) == ["n2"], "liked is not required"


def test_only_who_tolerates_a_taint_comes_to_the_node() -> None:
    tainted = [node("n1", taints=("gpu=a100",))]
    (refused,) = plan(snap([line("a", cpu(1))], nodes=tainted))
    assert refused.why.code == "taint"
    assert refused.why.text == "n1 only takes runs that tolerate gpu=a100"
    for word in ("gpu", "gpu=a100", "*"):
        asked = line("a", cpu(1), wishes=Wishes(tolerates=(word,)))
        assert places(plan(snap([asked], nodes=tainted))) == ["n1"]
    other = line("a", cpu(1), wishes=Wishes(tolerates=("gpu=h100",)))
    assert places(plan(snap([other], nodes=tainted))) == []


def test_a_hard_wish_to_be_together_waits_for_the_other() -> None:
    wish = Wishes(near=(Near("agent:db"),))
    (waits,) = plan(snap([line("a", cpu(1), wishes=wish)], nodes=PAIR))
    assert waits.why.code == "with"
    there = [node("n1"), node("n2", here={"agent:db": 1})]
    asked = [line("a", cpu(1), wishes=wish)]
    assert places(plan(snap(asked, nodes=there))) == ["n2"]


def test_the_first_of_those_that_want_each_other_may_be_anywhere() -> None:
    wish = Wishes(near=(Near("agent:a"),))
    asked = line("a", cpu(1), runs=(1, 2, 3), wishes=wish)
    names = dict.fromkeys((1, 2, 3), frozenset({"agent:a"}))
    found = plan(snap([asked], nodes=PAIR, names=names))
    assert places(found) == ["n1", "n1", "n1"], "spread would say n2"


def test_a_soft_wish_gives_way() -> None:
    wish = Wishes(near=(Near("tag:noisy", apart=True, hard=False, weight=3),))
    noisy = [node("n1", here={"tag:noisy": 1}), node("n2")]
    asked = [line("a", cpu(1), wishes=wish)]
    assert places(plan(snap(asked, nodes=noisy))) == ["n2"]
    assert places(plan(snap(asked, nodes=noisy[:1]))) == ["n1"]


def test_bandwidth_is_never_given_twice() -> None:
    wide = Resources(100, 0, 0, 600)
    has = Resources(4000, 8 * GB, 0, 1000)
    first, second = plan(snap([line("a", wide, runs=(1, 2))], nodes=[node("n1", has)]))
    assert isinstance(first, Admit)
    assert second.why.code == "busy:bandwidth"
    (never,) = plan(
        snap([line("a", Resources(100, 0, 0, 2000))], nodes=[node("n1", has)])
    )
    assert never.why.code == "never:bandwidth"
    assert "0.002 Mbit/s of bandwidth" in never.why.text


def seen(used: float, *, was_over: bool = False, young: int = 0) -> Measured:
    return pressure.measured(
        used=int(used * 10 * GB),
        total=10 * GB,
        limit_fraction=0.85,
        was_over=was_over,
        young=young,
    )


def test_above_max_memory_usage_a_node_takes_nothing_more() -> None:
    full = node("n1", cpu(4, 8.5), measured=seen(0.91))
    (refused,) = plan(snap([line("a", cpu(0.1, 0.01))], nodes=[full]))
    assert refused.why.code == "pressure"
    assert refused.why.text == (
        "memory in use on n1: 91% is above max_memory_usage 85%"
    )


def test_a_node_under_pressure_is_passed_over() -> None:
    nodes = [node("n1", cpu(4, 8), measured=seen(0.9)), node("n2", cpu(4, 8))]
    assert places(plan(snap([line("a", cpu(0.1, 0.1))], nodes=nodes))) == ["n2"]


def test_it_takes_runs_again_only_three_points_below() -> None:
    assert pressure.is_over(0.86, 0.85, before=False)
    assert pressure.is_over(0.83, 0.85, before=True)
    assert not pressure.is_over(0.83, 0.85, before=False)
    assert not pressure.is_over(0.81, 0.85, before=True)
    small = [line("a", cpu(0.1, 0.1))]
    held = node("n1", cpu(4, 8.5), measured=seen(0.83, was_over=True))
    (refused,) = plan(snap(small, nodes=[held]))
    assert "83%; it takes runs again below 82%" in refused.why.text
    free = node("n1", cpu(4, 8.5), measured=seen(0.83))
    assert places(plan(snap(small, nodes=[free]))) == ["n1"]


def test_what_young_runs_declared_is_not_given_out_again() -> None:
    young = node("n1", cpu(4, 8.5), measured=seen(0.5, young=3 * GB))
    (refused,) = plan(snap([line("a", cpu(0.1, 0.6))], nodes=[young]))
    assert isinstance(refused, Wait)
    assert places(plan(snap([line("a", cpu(0.1, 0.4))], nodes=[young]))) == ["n1"]


def test_under_pressure_the_less_urgent_still_make_room_for_the_urgent() -> None:
    holding = [HeldRun(1, "n1", 0, cpu(0.1, 2))]
    full = node("n1", cpu(4, 8.5), measured=seen(0.9))
    urgent = line("u", cpu(0.1, 1), priority=4)
    (decision,) = plan(snap([urgent], holding, nodes=[full]))
    assert isinstance(decision, Preempt)


@st.composite
def placed_worlds(draw):
    count = draw(st.integers(1, 4))
    nodes = [
        node(
            f"n{i}",
            Resources(4000, 8 * GB, 0, 1000),
            taints=draw(st.sampled_from([(), (), ("gpu",)])),
            here=draw(st.sampled_from([{}, {"tag:x": 1}, {"agent:0": 2}])),
            measured=draw(st.sampled_from([None, seen(0.2), seen(0.8), seen(0.9)])),
        )
        for i in range(count)
    ]
    near = st.builds(
        Near,
        st.sampled_from(["tag:x", "agent:0", "agent:1"]),
        st.booleans(),
        st.booleans(),
    )
    wishes = st.builds(
        Wishes,
        st.dictionaries(st.sampled_from(["n0", "n1"]), st.integers(1, 9)),
        st.lists(near, max_size=2).map(tuple),
        st.sampled_from(["", "spread", "pack"]),
        st.sampled_from([(), ("gpu",)]),
    )
    waiting, names = [], {}
    for number in range(draw(st.integers(1, 5))):
        need = Resources(
            draw(st.sampled_from([100, 1000])),
            draw(st.sampled_from([GB // 10, 2 * GB])),
            0,
            draw(st.sampled_from([0, 0, 400])),
        )
        ids = range(number * 10, number * 10 + draw(st.integers(1, 4)))
        names |= dict.fromkeys(ids, frozenset({f"agent:{number}"}))
        waiting.append(line(f"{number}", need, 2, ids, wishes=draw(wishes)))
    strategy = draw(st.sampled_from(["spread", "pack"]))
    return snap(waiting, nodes=nodes, slots=100, names=names, strategy=strategy)


@given(placed_worlds())
def test_no_admission_breaks_a_wish_or_takes_room_that_is_not_there(snapshot) -> None:
    decisions = plan(snapshot)
    assert decisions == plan(snapshot)
    of_run = {run.id: c for c in snapshot.waiting for run in c.first}
    here = {n.name: Counter(n.here) for n in snapshot.nodes.values()}
    left = {n.name: n.capacity for n in snapshot.nodes.values()}
    taken = Counter()
    for decision in decisions:
        if not isinstance(decision, Admit):
            assert decision.why.text
            continue
        own, where = of_run[decision.run.id], decision.node
        view = snapshot.nodes[where]
        assert set(view.taints) <= set(own.wishes.tolerates)
        for near in own.wishes.near:
            first_of_its_kind = near.name in snapshot.names[decision.run.id] and not (
                any(near.name in found for found in here.values())
            )
            if near.hard and not (first_of_its_kind and not near.apart):
                assert (near.name in here[where]) != near.apart
        here[where].update(snapshot.names[decision.run.id])
        left[where] -= own.need
        taken[where] += own.need.memory_bytes
        assert not left[where].lacks(Resources())
        if view.measured:
            assert taken[where] <= view.measured.free_bytes
