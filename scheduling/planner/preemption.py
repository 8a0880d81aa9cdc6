"""Whom to ask to yield so that a more urgent run can start, and how. Pure.

Never a run of equal or higher priority, never one more than needed, and each on the
lowest rung of the ladder that is enough: what is short decides. Freezing gives CPU and
slots; memory needs reclaiming, or an end; a GPU needs an end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scheduling.planner.ledger import Ledger
from scheduling.planner.rungs import Rung, frees_devices, gain, lost_s, strongest
from scheduling.planner.snapshot import HeldRun, QueueClass


@dataclass(frozen=True, slots=True)
class Victim:
    """A run that is to yield, and the rung it yields on."""

    run: HeldRun
    rung: Rung

    @property
    def id(self) -> int:
        return self.run.id

    @property
    def node(self) -> str:
        return self.run.node

    @property
    def priority(self) -> int:
        return self.run.priority

    @property
    def lost_s(self) -> float:
        return lost_s(self.run, self.rung)


def cheapest_victims(
    ledger: Ledger, wanted: QueueClass
) -> tuple[str, tuple[Victim, ...]] | None:
    """The node and a smallest-by-inclusion set of less urgent runs to yield there.

    The ladder is climbed only as far as needed: no run ends where freezing others is
    enough. Among nodes, the one with the fewest victims, then the least urgent ones,
    then the least lost work.
    """
    below = [v for v in ledger.victims if v.priority < wanted.priority]
    for most in sorted({Rung(r) for v in below for r in v.rungs}):
        offers = _offers(below, most)
        found = [
            (node, victims)
            for node in ledger.usable(wanted)
            if (victims := _victims_on(ledger, node, wanted, offers))
        ]
        if found:
            return min(found, key=lambda f: _cost(f[1]))
    return None


def expect(ledger: Ledger, victims: Iterable[Victim]) -> None:
    """Count the room that they will give as coming."""
    for victim in victims:
        room = gain(victim.run, victim.rung)
        ledger.expect(victim.run, room, devices=frees_devices(victim.rung))


def _offers(below: Sequence[HeldRun], most: Rung) -> list[Victim]:
    """Each run on the best rung up to `most`: cheapest first, then the least urgent,
    then who loses the least work, then the newest."""
    offers = [Victim(v, rung) for v in below if (rung := strongest(v, most))]
    offers.sort(key=lambda v: (v.rung, v.priority, v.lost_s, -v.id))
    return offers


def _cost(victims: Sequence[Victim]) -> tuple[float, ...]:
    return (
        max(v.rung for v in victims),
        len(victims),
        max(v.priority for v in victims),
        sum(v.lost_s for v in victims),
    )


class _Room:
    """What there would be on a node once the chosen have yielded."""

    def __init__(self, ledger: Ledger, node: str, wanted: QueueClass) -> None:
        self.ledger, self.node, self.need = ledger, node, wanted.need
        self.room, self.held = ledger.coming[node], Counter(ledger.gpus_coming[node])
        self.slots = ledger.slots_coming
        self.chosen: list[Victim] = []

    def add(self, victim: Victim) -> None:
        self.chosen.append(victim)
        self.slots += victim.run.slots
        if victim.node == self.node:
            self.room += gain(victim.run, victim.rung)
            if frees_devices(victim.rung):
                self.held.subtract(victim.run.devices)

    def remove(self, victim: Victim) -> None:
        self.chosen.remove(victim)
        self.slots -= victim.run.slots
        if victim.node == self.node:
            self.room -= gain(victim.run, victim.rung)
            if frees_devices(victim.rung):
                self.held.update(victim.run.devices)

    def is_short(self) -> bool:
        return bool(self.ledger.lacks(self.node, self.room, self.held, self.need))

    def is_enough(self) -> bool:
        return self.slots > 0 and not self.is_short()


def _victims_on(
    ledger: Ledger, node: str, wanted: QueueClass, offers: Sequence[Victim]
) -> tuple[Victim, ...]:
    room = _Room(ledger, node, wanted)
    for victim in offers:
        if not room.is_short():
            break
        if victim.node == node:
            room.add(victim)
    if room.is_short():
        return ()
    for victim in offers:  # a slot may be freed on any node
        if room.slots > 0:
            break
        if victim.run.slots and victim not in room.chosen:
            room.add(victim)
    if room.slots <= 0:
        return ()
    _give_back(room)
    return tuple(room.chosen)


def _give_back(room: _Room) -> None:
    """Let go of who turned out unneeded, and let each down as far as is enough."""
    for victim in tuple(reversed(room.chosen)):
        room.remove(victim)
        if not room.is_enough():
            room.add(victim)
    for victim in tuple(room.chosen):
        _let_down(room, victim)


def _let_down(room: _Room, victim: Victim) -> None:
    room.remove(victim)
    for rung in sorted(Rung(r) for r in victim.run.rungs if r < victim.rung):
        lower = replace(victim, rung=rung)
        room.add(lower)
        if room.is_enough():
            return
        room.remove(lower)
    room.add(victim)
