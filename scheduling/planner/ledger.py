"""The snapshot's room, spent as a plan is written. Lives for one plan.

Slots are one more thing a run holds: a run that only lacks a slot may preempt for it
just as for memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from scheduling.planner.snapshot import (
    HeldRun,
    Occupied,
    QueueClass,
    Resources,
    Snapshot,
)


class Ledger:
    def __init__(self, snapshot: Snapshot) -> None:
        self.nodes = snapshot.nodes
        self.free = {name: n.capacity for name, n in snapshot.nodes.items()}
        self.coming = dict(self.free)  # the same, once those that yield are gone
        self.slots = snapshot.slots
        self.slots_coming = snapshot.slots
        self.victims = list(snapshot.preemptible)
        for held in snapshot.occupied:
            self._hold(held)

    def _hold(self, held: Occupied) -> None:
        self.slots -= held.slots
        if not held.yielding:
            self.slots_coming -= held.slots
        if held.node not in self.free:
            return  # its node has gone from the registry
        self.free[held.node] -= held.need
        if not held.yielding:
            self.coming[held.node] -= held.need

    def usable(self, wanted: QueueClass) -> list[str]:
        """Nodes that could ever take the class, by their names."""
        return [
            node.name
            for node in self.nodes.values()
            if node.open
            and wanted.environment in node.environments
            and wanted.pinned_node in ("", node.name)
        ]

    def node_with_room(self, wanted: QueueClass) -> str | None:
        """Room now, without taking what a preemption has promised to somebody."""
        if self.slots <= 0 or self.slots_coming <= 0:
            return None
        for name in self.usable(wanted):
            if self.free[name].lacks(wanted.need):
                continue
            if not self.coming[name].lacks(wanted.need):
                return name
        return None

    def node_with_room_coming(self, wanted: QueueClass) -> str | None:
        if self.slots_coming <= 0:
            return None
        for name in self.usable(wanted):
            if not self.coming[name].lacks(wanted.need):
                return name
        return None

    def take(self, node: str, need: Resources) -> None:
        self.free[node] -= need
        self.slots -= 1
        self.reserve(node, need)

    def reserve(self, node: str, need: Resources) -> None:
        self.coming[node] -= need
        self.slots_coming -= 1

    def expect(self, node: str, victims: Iterable[HeldRun]) -> None:
        """These will go: their room is on its way."""
        for victim in victims:
            self.victims.remove(victim)
            self.coming[victim.node] += victim.need
            self.slots_coming += 1

    def cheapest_victims(
        self, wanted: QueueClass
    ) -> tuple[str, tuple[HeldRun, ...]] | None:
        """The node and a smallest-by-inclusion set of less urgent runs to end there.

        Among nodes, the one with the fewest victims, then the least urgent ones.
        """
        found = [
            (node, victims)
            for node in self.usable(wanted)
            if (victims := self._victims_on(node, wanted))
        ]
        if not found:
            return None
        return min(found, key=lambda f: (len(f[1]), max(v.priority for v in f[1])))

    def _victims_on(self, node: str, wanted: QueueClass) -> tuple[HeldRun, ...]:
        below = [v for v in self.victims if v.priority < wanted.priority]
        below.sort(key=lambda v: (v.priority, -v.id))  # least urgent, newest first
        here = [v for v in below if v.node == node]
        room, chosen = self.coming[node], list[HeldRun]()
        for victim in here:
            if not room.lacks(wanted.need):
                break
            room += victim.need
            chosen.append(victim)
        if room.lacks(wanted.need):
            return ()
        for victim in tuple(reversed(chosen)):  # give back who turned out unneeded
            if not (room - victim.need).lacks(wanted.need):
                room -= victim.need
                chosen.remove(victim)
        for victim in below:  # a slot may be freed on any node
            if self.slots_coming + len(chosen) > 0:
                break
            if victim not in chosen:
                chosen.append(victim)
        return tuple(chosen) if self.slots_coming + len(chosen) > 0 else ()
