"""Whom to ask to yield so that a more urgent run can start. Pure.

Never a run of equal or higher priority, and never one more than needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from scheduling.planner.ledger import Ledger
from scheduling.planner.snapshot import HeldRun, QueueClass, Resources


def cheapest_victims(
    ledger: Ledger, wanted: QueueClass
) -> tuple[str, tuple[HeldRun, ...]] | None:
    """The node and a smallest-by-inclusion set of less urgent runs to end there.

    Among nodes, the one with the fewest victims, then the least urgent ones.
    """
    found = [
        (node, victims)
        for node in ledger.usable(wanted)
        if (victims := _victims_on(ledger, node, wanted))
    ]
    if not found:
        return None
    return min(found, key=lambda f: (len(f[1]), max(v.priority for v in f[1])))


def _victims_on(ledger: Ledger, node: str, wanted: QueueClass) -> tuple[HeldRun, ...]:
    below = [v for v in ledger.victims if v.priority < wanted.priority]
    below.sort(key=lambda v: (v.priority, -v.id))  # least urgent, newest first
    here = [v for v in below if v.node == node]
    chosen = _enough_of(ledger, here, node, wanted)
    if chosen is None:
        return ()
    for victim in below:  # a slot may be freed on any node
        if ledger.slots_coming + len(chosen) > 0:
            break
        if victim not in chosen:
            chosen.append(victim)
    return tuple(chosen) if ledger.slots_coming + len(chosen) > 0 else ()


def _enough_of(
    ledger: Ledger, here: list[HeldRun], node: str, wanted: QueueClass
) -> list[HeldRun] | None:
    """As few of those as make room; None where all of them do not."""
    room, held = ledger.coming[node], Counter(ledger.gpus_coming[node])
    chosen = list[HeldRun]()

    def short(room: Resources, held: Mapping[str, int]) -> bool:
        return bool(ledger.lacks(node, room, held, wanted.need))

    for victim in here:
        if not short(room, held):
            break
        room += victim.need
        held.subtract(victim.devices)
        chosen.append(victim)
    if short(room, held):
        return None
    for victim in tuple(reversed(chosen)):  # give back who turned out unneeded
        without = held + Counter(victim.devices)
        if not short(room - victim.need, without):
            room, held = room - victim.need, without
            chosen.remove(victim)
    return chosen
