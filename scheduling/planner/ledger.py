"""The snapshot's room, spent as a plan is written. Lives for one plan.

Slots are one more thing a run holds: a run that only lacks a slot may preempt for it
just as for memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from scheduling.planner import devices, ports
from scheduling.planner.snapshot import (
    Device,
    Grant,
    HeldRun,
    Occupied,
    QueueClass,
    Resources,
    Snapshot,
    Unmet,
)


class Ledger:
    def __init__(self, snapshot: Snapshot) -> None:
        self.nodes = snapshot.nodes
        self.free = {name: n.capacity for name, n in snapshot.nodes.items()}
        self.coming = dict(self.free)  # the same, once those that yield are gone
        self.slots = snapshot.slots
        self.slots_coming = snapshot.slots
        self.victims = list(snapshot.preemptible)
        self.taken = {name: dict(n.taken) for name, n in snapshot.nodes.items()}
        self.gpus = {name: Counter[str]() for name in snapshot.nodes}  # device -> runs
        self.gpus_coming = {name: Counter[str]() for name in snapshot.nodes}
        for held in snapshot.occupied:
            self._hold(held)
        for one in snapshot.holdings:
            if one.node in self.gpus:
                self.gpus[one.node].update(one.devices)
                if not one.yielding:
                    self.gpus_coming[one.node].update(one.devices)

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
        """Nodes that could take the class as far as what it requires goes."""
        return [name for name in self.able(wanted) if not self.bar(name, wanted)]

    def bar(self, node: str, wanted: QueueClass) -> Unmet | None:
        """What the class requires and does not find on the node, if anything."""
        if node in wanted.unmet:
            return wanted.unmet[node]
        if wanted.ports:
            found = ports.choose(wanted.ports, self.taken[node])
            if not isinstance(found, dict):
                text = ports.why_none(found, self.taken[node], node)
                return Unmet("ports", text)
        return None

    def able(self, wanted: QueueClass) -> list[str]:
        """Nodes that could ever take the class, by their names."""
        return [
            node.name
            for node in self.nodes.values()
            if (node.up if wanted.frozen else node.open)
            and wanted.environment in node.environments
            and wanted.pinned_node in ("", node.name)
        ]

    def node_with_room(self, wanted: QueueClass) -> str | None:
        """Room now, without taking what a preemption has promised to somebody."""
        if self.slots <= 0 or self.slots_coming <= 0:
            return None
        for name in self.usable(wanted):
            if self.lacks_now(name, wanted.need):
                continue
            if not self.lacks_later(name, wanted.need):
                return name
        return None

    def node_with_room_coming(self, wanted: QueueClass) -> str | None:
        if self.slots_coming <= 0:
            return None
        for name in self.usable(wanted):
            if not self.lacks_later(name, wanted.need):
                return name
        return None

    def lacks_now(self, node: str, need: Resources) -> list[str]:
        return self.lacks(node, self.free[node], self.gpus[node], need)

    def lacks_later(self, node: str, need: Resources) -> list[str]:
        """The same, once those that yield are gone."""
        return self.lacks(node, self.coming[node], self.gpus_coming[node], need)

    def lacks_ever(self, node: str, need: Resources) -> list[str]:
        return self.lacks(node, self.nodes[node].capacity, {}, need)

    def lacks(
        self, node: str, room: Resources, held: Mapping[str, int], need: Resources
    ) -> list[str]:
        short = room.lacks(need)
        if not need.gpus or "GPU" in short:
            return short
        chosen = devices.choose(self.devices_of(node), held, need.gpus)
        return short if chosen is not None else [*short, "GPU"]

    def devices_of(self, node: str) -> tuple[Device, ...]:
        """Its GPUs; by their numbers where it never said more than how many."""
        view = self.nodes[node]
        numbers = range(view.capacity.gpus)
        return view.devices or tuple(Device(str(number)) for number in numbers)

    def take(self, node: str, wanted: QueueClass) -> Grant | None:
        """Spend the node's room; what the run is given of it by name."""
        need = wanted.need
        self.free[node] -= need
        self.slots -= 1
        self.reserve(node, need)
        if not need.gpus and not wanted.needy:
            return None
        chosen = devices.choose(self.devices_of(node), self.gpus[node], need.gpus) or ()
        self.gpus[node].update(chosen)
        given = ports.choose(wanted.ports, self.taken[node])
        assert isinstance(given, dict), "a node without the ports is not usable"
        self.taken[node].update(dict.fromkeys(given.values(), "a run that starts"))
        return Grant(chosen, given, wanted.needy)

    def reserve(self, node: str, need: Resources) -> None:
        self.coming[node] -= need
        self.slots_coming -= 1
        if need.gpus:
            held = self.gpus_coming[node]
            held.update(devices.choose(self.devices_of(node), held, need.gpus) or ())

    def expect(self, yielding: HeldRun, gain: Resources, *, devices: bool) -> None:
        """This one yields: the room is on its way."""
        self.victims.remove(yielding)
        self.coming[yielding.node] += gain
        if devices:
            self.gpus_coming[yielding.node].subtract(yielding.devices)
        self.slots_coming += yielding.slots
