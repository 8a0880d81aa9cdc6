"""Situations for the planner, drawn from a random source: a seeded one, or one of
hypothesis, which then finds the smallest that breaks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from scheduling.planner.snapshot import (
    Device,
    HeldRun,
    Holding,
    NodeView,
    Occupied,
    PortWant,
    QueueClass,
    Resources,
    Snapshot,
    Unmet,
    WaitingRun,
)
from scheduling.task_queue import Ageing

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENVIRONMENTS = ("subprocess", "docker")
GB = 10**9


@dataclass(frozen=True)
class Live:
    """A run that holds something, and when it will end."""

    held: HeldRun
    yielding: bool
    ends_at: datetime


@dataclass(frozen=True)
class Situation:
    snapshot: Snapshot
    live: tuple[Live, ...]


def need_of(random: Random) -> Resources:
    return Resources(
        random.choice((100, 250, 500, 1000, 2000, 5000)),
        random.choice((0, GB, 2 * GB, 6 * GB)),
        random.choice((0, 0, 0, 0, 1, 2)),
    )


def node_of(random: Random, number: int) -> NodeView:
    gpus = random.choice((0, 0, 1, 2))
    declared = random.random() < 0.5
    devices = [Device(f"g{n}", random.choice((1, 1, 2))) for n in range(gpus)]
    offered = [e for e in ENVIRONMENTS if random.random() < 0.85]
    busy = dict.fromkeys(
        random.sample(range(9000, 9004), random.choice((0, 0, 2))), "x"
    )
    return NodeView(
        f"n{number}",
        Resources(random.randint(1, 8) * 1000, random.randint(1, 16) * GB, gpus),
        frozenset(offered),
        id=number + 1,
        open=random.random() < 0.9,
        devices=tuple(devices) if declared else (),
        taken=busy,
    )


def devices_of(node: NodeView) -> tuple[Device, ...]:
    return node.devices or tuple(Device(str(n)) for n in range(node.capacity.gpus))


def live_on(random: Random, nodes: list[NodeView]) -> list[Live]:
    """Runs that fit beside each other."""
    live = []
    free = {n.name: n.capacity for n in nodes}
    used = {n.name: Counter[str]() for n in nodes}
    yields = random.choice((0, 0.3, 0.6))
    for number in range(random.choice((0, 1, 3, 6, 12, 24)) if nodes else 0):
        node, need = random.choice(nodes), need_of(random)
        unused = [d.id for d in devices_of(node) if used[node.name][d.id] < d.share]
        if free[node.name].lacks(need) or len(unused) < need.gpus:
            continue
        chosen = tuple(unused[: need.gpus])
        free[node.name] -= need
        used[node.name].update(chosen)
        held = HeldRun(
            number + 1, node.name, random.choice((0, 0, 1, 1, 2, 3, 4)), need, chosen
        )
        ends_at = NOON + timedelta(seconds=random.randint(1, 3000))
        live.append(Live(held, random.random() < yields, ends_at))
    return live


def class_of(random: Random, number: int, nodes: list[NodeView]) -> QueueClass:
    names = [n.name for n in nodes]
    came = sorted(random.randint(0, 10_000) for _ in range(random.randint(1, 4)))
    priority, front = random.randint(0, 4), random.random() < 0.05
    runs = [
        WaitingRun(
            1000 + number * 100 + n,
            0,
            NOON - timedelta(seconds=10_000 - at),
            priority,
            front=front,
        )
        for n, at in enumerate(came)
    ]
    unmet, ports = {}, ()
    if names and random.random() < 0.15:
        bars = random.sample(names, random.randint(1, len(names)))
        unmet = dict.fromkeys(bars, Unmet("requires:1", "waits for the file /x"))
    if random.random() < 0.15:
        ports = (PortWant("http", 9000, random.choice((9000, 9001, 9003))),)
    pinned = random.choice(names) if names and random.random() < 0.1 else ""
    return QueueClass(
        f"c{number}",
        random.choice(("subprocess", "subprocess", "docker")),
        need_of(random),
        priority,
        tuple(runs),
        pinned_node=pinned,
        unmet=unmet,
        ports=ports,
        needy=bool(unmet or ports),
    )


def situation(random: Random) -> Situation:
    nodes = [node_of(random, n) for n in range(random.choice((0, 1, 1, 2, 3, 4)))]
    live = live_on(random, nodes)
    count = random.randint(0, 8)
    classes = [class_of(random, n, nodes) for n in range(count)]
    mode = random.choice(("fifo", "lifo", "priority", "priority"))
    if mode == "lifo":
        classes = [replace(c, first=c.first[::-1]) for c in classes]
    may_preempt = random.random() < 0.6
    snapshot = Snapshot(
        nodes={n.name: n for n in nodes},
        occupied=tuple(occupied(one.held, one.yielding) for one in live),
        preemptible=tuple(one.held for one in live if may_preempt and not one.yielding),
        waiting=tuple(classes),
        slots=max(1, len(live) + random.choice((-1, 0, 0, 1, 2, 6, 20))),
        mode=mode,
        holdings=tuple(
            Holding(one.held.node, one.held.devices, one.yielding)
            for one in live
            if one.held.devices
        ),
        now=NOON,
        ageing=random.choice((Ageing(), Ageing(600, 7200), Ageing(0, 3600))),
    )
    return Situation(snapshot, tuple(live))


def occupied(held: HeldRun, yielding: bool = False) -> Occupied:
    return Occupied(held.node, held.need, 1, yielding=yielding)
