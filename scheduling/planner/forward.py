"""When waiting runs will start: the plan, stepped through the expected ends. Pure.

The same `plan` decides at every step. What is admitted holds its room until its own
expected end, who is asked to stop is gone a little later. Bounded by a number of steps,
not by a clock: the same situation always gives the same forecast.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduling.planner.admission import Admit, Preempt, plan
from scheduling.planner.snapshot import (
    HeldRun,
    Holding,
    Horizon,
    NodeView,
    Occupied,
    QueueClass,
    Resources,
    Snapshot,
    WaitingRun,
)

MOST_STEPS = 300
SHOWN = 8  # of each class in one plan; it is asked again while it admits
HORIZON = timedelta(days=30)
YIELDS = timedelta(seconds=10)  # from being asked to stop until the room is free


@dataclass(frozen=True, slots=True)
class Running:
    """A run that holds something, and until when it probably will."""

    id: int
    node: str
    priority: int
    need: Resources
    ends_at: datetime
    devices: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    yielding: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    starts: Mapping[int, datetime]  # waiting run -> when it is admitted
    complete: bool  # nothing more would happen; else the steps were used up


def forecast(
    snapshot: Snapshot,
    running: Collection[Running],
    takes: Mapping[int, float],
    *,
    now: datetime,
    until: Collection[int] = (),
    preemption: bool = False,
    most_steps: int = MOST_STEPS,
) -> Forecast:
    """Step on until every run of `until` has started, nothing changes any more, or
    the steps are used up. `takes`: seconds each waiting run will probably hold its
    room. The snapshot shows every run that is to be looked at.
    """
    world = World(snapshot, list(running), takes, now, preemption)
    wanted = set(until)
    for _ in range(most_steps):
        world.settle()
        if wanted and wanted <= world.starts.keys():
            return Forecast(world.starts, complete=False)
        if not world.waiting or not world.go_on():
            return Forecast(world.starts, complete=True)
    return Forecast(world.starts, complete=False)


class World:
    """A situation that goes on: what runs, what waits, and what time it is."""

    def __init__(
        self,
        snapshot: Snapshot,
        running: list[Running],
        takes: Mapping[int, float],
        now: datetime,
        preemption: bool,
    ) -> None:
        self.base = snapshot
        self.running = running
        self.takes = takes
        self.now, self.until = now, now + HORIZON
        self.preemption = preemption
        self.standing = {held.id: held.priority for held in snapshot.preemptible}
        self.waiting: dict[str, QueueClass] = {c.name: c for c in snapshot.waiting}
        self.starts: dict[int, datetime] = {}
        held = {port for one in running for port in one.ports}
        self.taken = {  # by programs that are not ours: for good
            name: {p: who for p, who in n.taken.items() if p not in held}
            for name, n in snapshot.nodes.items()
        }

    def settle(self) -> None:
        """Plan at this instant until nothing more is admitted."""
        while self._plan_once() and self.waiting:
            pass

    def _plan_once(self) -> bool:
        admitted = False
        for decision in plan(self.seen()):
            if isinstance(decision, Admit):
                self._start(decision)
                admitted = True
            elif isinstance(decision, Preempt):
                self._stop({victim.id for victim in decision.victims})
        return admitted

    def _start(self, decision: Admit) -> None:
        run, grant = decision.run, decision.grant
        line = next(c for c in self.waiting.values() if run in c.first)
        left = tuple(one for one in line.first if one is not run)
        if left:
            self.waiting[line.name] = replace(line, first=left)
        else:
            del self.waiting[line.name]
        self.starts[run.id] = self.now
        self.running.append(
            Running(
                run.id,
                decision.node,
                run.priority,
                line.need,
                self.now + timedelta(seconds=self.takes[run.id]),
                grant.devices if grant else (),
                tuple(grant.ports.values()) if grant else (),
            )
        )

    def _stop(self, victims: set[int]) -> None:
        self.running = [
            replace(one, yielding=True, ends_at=min(one.ends_at, self.now + YIELDS))
            if one.id in victims
            else one
            for one in self.running
        ]

    def go_on(self) -> bool:
        """To the next expected end, unless it is beyond what can be foreseen. Who
        should have ended by now ends next."""
        first = min((one.ends_at for one in self.running), default=None)
        if first is None or first > self.until:
            return False
        self.now = max(first, self.now + timedelta(microseconds=1))
        self.running = [one for one in self.running if one.ends_at > self.now]
        return True

    def seen(self) -> Snapshot:
        """What the planner is shown of it."""
        return replace(
            self.base,
            nodes={n.name: self._node(n) for n in self.base.nodes.values()},
            occupied=tuple(
                Occupied(one.node, one.need, 1, yielding=one.yielding)
                for one in self.running
            ),
            preemptible=tuple(
                self._held(one)
                for one in self.running
                if self.preemption and not one.yielding
            ),
            holdings=tuple(
                Holding(one.node, one.devices, one.yielding)
                for one in self.running
                if one.devices
            ),
            waiting=tuple(
                replace(c, first=c.first[:SHOWN]) for c in self.waiting.values()
            ),
            now=self.now,
            horizon=self._horizon(),
        )

    def _horizon(self) -> Horizon | None:
        """What is expected to come was read for the first moment only."""
        horizon = self.base.horizon
        return horizon if horizon and horizon.now == self.now else None

    def _held(self, one: Running) -> HeldRun:
        priority = self.standing.get(one.id, one.priority)
        return HeldRun(one.id, one.node, priority, one.need, one.devices)

    def _node(self, node: NodeView) -> NodeView:
        if not any(one.ports for one in self.running) and not node.taken:
            return node
        taken = dict(self.taken[node.name])
        for one in self.running:
            if one.node == node.name:
                taken |= dict.fromkeys(one.ports, "a run")
        return replace(node, taken=taken)


def find(snapshot: Snapshot, run_id: int) -> tuple[QueueClass, WaitingRun]:
    """A waiting run and its class. Raises KeyError for one that is not shown."""
    for line in snapshot.waiting:
        for run in line.first:
            if run.id == run_id:
                return line, run
    raise KeyError(run_id)
