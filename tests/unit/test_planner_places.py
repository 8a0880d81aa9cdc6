"""GPUs and ports are never given twice, whatever the order of admissions and ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.planner import devices, ports
from scheduling.planner.admission import Admit, Decision, Preempt, Wait, plan
from scheduling.planner.snapshot import (
    Device,
    HeldRun,
    Holding,
    Occupied,
    PortWant,
    QueueClass,
    Snapshot,
    Unmet,
)
from tests.unit.test_admission import cpu, line, node, snap

SHARES = {"n1": (1, 2), "n2": (1, 1, 3)}
RANGE = PortWant("a", 31_000, 31_003)
FIXED = PortWant("b", 31_001, 31_001)


@dataclass
class Live:
    """A run as the world has it."""

    id: int
    node: str
    need: Any
    priority: int
    devices: tuple[str, ...]
    ports: dict[str, int]
    yielding: bool = False


class World:
    """Runs come, are planned, yield and end; what is held is watched all along."""

    def __init__(self) -> None:
        self.live: dict[int, Live] = {}
        self.waiting: list[QueueClass] = []
        self.nodes = {
            name: tuple(Device(f"{name}-{i}", s) for i, s in enumerate(shares))
            for name, shares in SHARES.items()
        }
        self.count = 0

    def queue(self, gpus: int, priority: int, wants: tuple[PortWant, ...]) -> None:
        self.count += 1
        self.waiting.append(
            line(
                f"c{self.count}",
                cpu(0.1, 0.1, gpus),
                priority,
                (self.count,),
                ports=wants,
                needy=bool(wants),
            )
        )

    def end(self, which: int) -> None:
        if self.live:
            self.live.pop(sorted(self.live)[which % len(self.live)])

    def snapshot(self) -> Snapshot:
        runs = list(self.live.values())
        taken: dict[str, dict[int, str]] = {name: {} for name in self.nodes}
        for run in runs:
            taken[run.node] |= dict.fromkeys(run.ports.values(), "a run")
        return Snapshot(
            nodes={
                name: node(
                    name,
                    cpu(64, 64, sum(d.share for d in held)),
                    devices=held,
                    taken=taken[name],
                )
                for name, held in self.nodes.items()
            },
            occupied=tuple(Occupied(r.node, r.need, 1, r.yielding) for r in runs),
            preemptible=tuple(
                HeldRun(r.id, r.node, r.priority, r.need, r.devices)
                for r in runs
                if not r.yielding
            ),
            waiting=tuple(self.waiting),
            slots=1000,
            holdings=tuple(Holding(r.node, r.devices, r.yielding) for r in runs),
        )

    def step(self) -> list[Decision]:
        decisions = plan(self.snapshot())
        for decision in decisions:
            if isinstance(decision, Admit):
                self.admit(decision)
            elif isinstance(decision, Preempt):
                for victim in decision.victims:
                    self.live[victim.id].yielding = True
        self.check()
        return decisions

    def admit(self, decision: Admit) -> None:
        own = next(c for c in self.waiting if decision.run in c.first)
        self.waiting.remove(own)
        grant = decision.grant
        given = grant.devices if grant else ()
        assert len(given) == len(set(given)) == own.need.gpus
        given_ports = dict(grant.ports) if grant else {}
        assert given_ports.keys() == {want.name for want in own.ports}
        for want in own.ports:
            assert want.first <= given_ports[want.name] <= want.last
        run, where = decision.run, decision.node
        self.live[run.id] = Live(
            run.id, where, own.need, own.priority, given, given_ports
        )

    def check(self) -> None:
        for name, held in self.nodes.items():
            here = [run for run in self.live.values() if run.node == name]
            for device in held:
                users = [run for run in here if device.id in run.devices]
                assert len(users) <= device.share
            given = [port for run in here for port in run.ports.values()]
            assert len(given) == len(set(given))


wants = st.sampled_from([(), (), (RANGE,), (FIXED,), (RANGE, FIXED)])
moves = st.one_of(
    st.tuples(st.just("queue"), st.integers(0, 3), st.integers(0, 4), wants),
    st.tuples(st.just("end"), st.integers(0, 50)),
    st.tuples(st.just("step")),
)


@settings(deadline=None)
@given(st.lists(moves, max_size=40))
def test_no_device_is_over_its_share_and_no_port_has_two(story: list[Any]) -> None:
    world = World()
    for what, *how in story:
        getattr(world, what)(*how)
    world.step()
    for run in list(world.live.values()):  # everybody comes to an end
        world.live.pop(run.id)
    for _ in range(3 * len(world.waiting) + 3):
        world.step()
        for run in list(world.live.values()):
            world.live.pop(run.id)
    never = [c for c in world.waiting if c.need.gpus <= 3]
    assert never == []  # and everybody who could fit had a turn


def test_runs_share_a_device_only_when_they_must() -> None:
    two = (Device("a", 2), Device("b", 2))
    assert devices.choose(two, {}, 1) == ("a",)
    assert devices.choose(two, {"a": 1}, 1) == ("b",)
    assert devices.choose(two, {"a": 1, "b": 1}, 1) == ("a",)
    assert devices.choose(two, {"a": 2, "b": 1}, 2) is None


def test_two_of_one_device_are_not_two_devices() -> None:
    shared = node(has=cpu(8, 8, 2), devices=(Device("a", 2),))
    (decision,) = plan(snap([line("x", cpu(1, 0, 2))], nodes=[shared]))
    assert isinstance(decision, Wait)
    assert decision.why.code == "never:GPU"


def test_a_wide_range_leaves_a_narrow_one_its_port() -> None:
    wide, narrow = PortWant("wide", 10, 12), PortWant("narrow", 10, 10)
    assert ports.choose([wide, narrow], set()) == {"wide": 11, "narrow": 10}
    assert ports.choose([wide, narrow], {10}) == narrow


def test_what_is_required_and_missing_is_said_for_each_node() -> None:
    unmet = {
        "n1": Unmet("requires:1", "waits for the file /a"),
        "n2": Unmet("requires:2", "waits for db:5432 to answer"),
    }
    asked = line("x", cpu(1), unmet=unmet, needy=True)
    (decision,) = plan(snap([asked], nodes=[node("n1"), node("n2")]))
    assert isinstance(decision, Wait)
    assert decision.why.code == "requires:1"
    assert decision.why.text == (
        "on n1: waits for the file /a; on n2: waits for db:5432 to answer"
    )
    del unmet["n2"]
    (decision,) = plan(snap([asked], nodes=[node("n1"), node("n2")]))
    assert isinstance(decision, Admit)
    assert decision.node == "n2"
