"""The snapshot's room, spent as a plan is written. Lives for one plan.

Slots are one more thing a run holds: a run that only lacks a slot may preempt for it
just as for memory.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from scheduling.planner import devices, ports, wishes
from scheduling.planner.limits import Gate
from scheduling.planner.snapshot import (
    Device,
    End,
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
        self.snapshot = snapshot
        self.nodes = snapshot.nodes
        self.free = {name: n.capacity for name, n in snapshot.nodes.items()}
        self.coming = dict(self.free)  # the same, once those that yield are gone
        self.slots = snapshot.slots
        self.slots_coming = snapshot.slots
        self.victims = list(snapshot.preemptible)
        self.taken = {name: dict(n.taken) for name, n in snapshot.nodes.items()}
        self.gpus = {name: Counter[str]() for name in snapshot.nodes}  # device -> runs
        self.gate = Gate(snapshot.running, snapshot.buckets)
        self.gpus_coming = {name: Counter[str]() for name in snapshot.nodes}
        for held in snapshot.occupied:
            self._hold(held)
        for one in snapshot.holdings:
            if one.node in self.gpus:
                self.gpus[one.node].update(one.devices)
                if not one.yielding:
                    self.gpus_coming[one.node].update(one.devices)
        for name in self.nodes:
            self._trust_what_is_measured(name)
        self.strategy = snapshot.strategy
        self.names = snapshot.names
        self.here = {name: Counter(n.here) for name, n in snapshot.nodes.items()}
        self.fill = {name: self._fill(name) for name in self.nodes}
        self.lasting: dict[str, list[str]] = {}  # class -> nodes without a lasting bar

    def _trust_what_is_measured(self, name: str) -> None:
        """No more memory than a node has by measurement, whatever was declared."""
        if (seen := self.nodes[name].measured) is None:
            return
        free, coming = self.free[name], self.coming[name]
        yielding = coming.memory_bytes - free.memory_bytes
        if (over := free.memory_bytes - seen.free_bytes) > 0:
            self.free[name] = free - Resources(memory_bytes=over)
        if (over := coming.memory_bytes - seen.free_bytes - yielding) > 0:
            self.coming[name] = coming - Resources(memory_bytes=over)

    def _fill(self, name: str) -> float:
        """How full a node is, by the scarcer of CPU and memory."""
        has, free = self.nodes[name].capacity, self.free[name]
        return 1 - min(
            free.cpu_millis / (has.cpu_millis or 1),
            free.memory_bytes / (has.memory_bytes or 1),
        )

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
        """Nodes that could take the class as far as what it requires goes, the best
        first: those it likes, then the emptiest (or the fullest, to pack), by name."""
        found = self.lasting.get(wanted.name)
        if found is None:
            able = self.able(wanted)
            found = [name for name in able if not self._lasting_bar(name, wanted)]
            self.lasting[wanted.name] = found
        if wanted.ports or wanted.wishes.near:
            found = [name for name in found if not self.bar(name, wanted)]
        return found if len(found) < 2 else self._best_first(found, wanted)

    def _best_first(self, nodes: list[str], wanted: QueueClass) -> list[str]:
        wish = wanted.wishes
        if (wish.strategy or self.strategy) == "pack":
            found = sorted(nodes, key=lambda name: -self.fill[name])
        else:
            found = sorted(
                nodes, key=self.fill.__getitem__
            )  # stable: else in the nodes' order
        if wish is not wishes.NO_WISHES:
            found.sort(key=lambda name: -wishes.liking(wish, name, self.here[name]))
        return found

    def bar(self, node: str, wanted: QueueClass) -> Unmet | None:
        """What the class requires and does not find on the node, if anything."""
        if lasting := self._lasting_bar(node, wanted):
            return lasting
        if wanted.ports:
            found = ports.choose(wanted.ports, self.taken[node])
            if not isinstance(found, dict):
                text = ports.why_none(found, self.taken[node], node)
                return Unmet("ports", text)
        return self._neighbours(node, wanted) if wanted.wishes.near else None

    def _lasting_bar(self, node: str, wanted: QueueClass) -> Unmet | None:
        """One that no decision of the plan changes."""
        if node in wanted.unmet:
            return wanted.unmet[node]
        for taint in self.nodes[node].taints:
            if not wishes.tolerated(taint, wanted.wishes.tolerates):
                text = f"{node} only takes runs that tolerate {taint}"
                return Unmet("taint", text)
        return None

    def _neighbours(self, node: str, wanted: QueueClass) -> Unmet | None:
        own = self.names.get(wanted.first[0].id, frozenset())
        anywhere = frozenset(name for here in self.here.values() for name in +here)
        found = wishes.unwanted(wanted.wishes, own, +self.here[node], anywhere)
        if found is None:
            return None
        who = wishes.called(found.name)
        if found.apart:
            return Unmet("apart", f"{who} is on {node}, and it is to be apart")
        return Unmet("with", f"{who} is not on {node}, and it is to be with it")

    def able(self, wanted: QueueClass) -> list[str]:
        """Nodes that could ever take the class, by their names."""
        return [
            node.name
            for node in self.nodes.values()
            if (node.up if wanted.frozen else node.open)
            and wanted.environment in node.environments
            and wanted.pinned_node in ("", node.name)
        ]

    def node_with_room(
        self, wanted: QueueClass, permits: Callable[[str], bool] | None = None
    ) -> str | None:
        """Room now, without taking what a preemption has promised to somebody."""
        if self.slots <= 0 or self.slots_coming <= 0:
            return None
        for name in self.usable(wanted):
            if self.lacks_now(name, wanted.need):
                continue
            if self.lacks_later(name, wanted.need):
                continue
            if permits is None or permits(name):
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

    def take(self, node: str, wanted: QueueClass, run: int = 0) -> Grant | None:
        """Spend the node's room; what the run is given of it by name."""
        need = wanted.need
        self.gate.take(wanted)
        self.free[node] -= need
        self.fill[node] = self._fill(node)
        self.here[node].update(self.names.get(run, ()))
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

    def release(self, end: End) -> None:
        """It is over: its room is there again."""
        self.slots += end.slots
        self.slots_coming += 0 if end.yielding else end.slots
        if end.node not in self.free:
            return
        self.free[end.node] += end.need
        self.gpus[end.node].subtract(end.devices)
        if not end.yielding:
            self.coming[end.node] += end.need
            self.gpus_coming[end.node].subtract(end.devices)

    def emptied(self) -> Ledger:
        """As if nobody held anything and nothing were measured."""
        bare = {
            name: replace(node, measured=None, taken={}, here={})
            for name, node in self.nodes.items()
        }
        return Ledger(replace(self.snapshot, nodes=bare, occupied=(), holdings=()))

    def copy(self) -> Ledger:
        """Another, to try things on."""
        twin = copy.copy(self)
        twin.free, twin.coming = dict(self.free), dict(self.coming)
        twin.fill, twin.victims = dict(self.fill), list(self.victims)
        twin.gate = self.gate.copy()
        twin.taken = {name: dict(ports) for name, ports in self.taken.items()}
        for part in ("gpus", "gpus_coming", "here"):
            counted = {name: Counter(c) for name, c in getattr(self, part).items()}
            setattr(twin, part, counted)
        return twin

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
