"""Gangs: runs that start together or not at all. Pure.

A gang keeps no partial room: it is placed on a copy of the ledger, and what one of its
members could have had is there for others while it waits. It never asks others to
yield; backfill's reservation is what bounds its wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduling.planner.backfill import Placed, Reservation, place_all, waits_for_room
from scheduling.planner.explain import Blocked, explain
from scheduling.planner.ledger import Ledger
from scheduling.planner.snapshot import QueueClass, WaitingRun


def place(
    members: Sequence[WaitingRun],
    wanted: QueueClass,
    ledger: Ledger,
    kept: Reservation | None,
) -> Placed | None:
    """Where each of them could be now; nothing is taken. `kept` is spent."""
    starts: list[str | None] = [None]
    if any(near.hard for near in wanted.wishes.near):
        starts += ledger.usable(wanted)  # the place of the first decides the others'
    for start in starts:
        trial, own = ledger.copy(), kept.copy() if kept else None
        first = members[0].id if start else None

        def permits(
            run: WaitingRun,
            node: str,
            own: Reservation | None = own,
            start: str | None = start,
            first: int | None = first,
        ) -> bool:
            if run.id == first and node != start:
                return False
            if own is None:
                return True
            if not own.permits(run, wanted, node):
                return False
            own.note(run, wanted, node)
            return True

        placed = place_all(members, wanted, trial, permits)
        if placed is not None:
            return placed
    return None


def explain_gang(
    members: Sequence[WaitingRun], wanted: QueueClass, ledger: Ledger
) -> Blocked:
    """Why they wait: what keeps even one of them, or that there is not room for all."""
    count = len(members)
    have = _how_many(members, wanted, ledger.copy())
    if have == 0 and not waits_for_room((why := explain(wanted, ledger)).code):
        return why
    ever = _how_many(members, wanted, ledger.emptied())
    if ever < count:
        return Blocked(
            "never:gang", f"needs room for {count} at once, and there is for {ever}"
        )
    return Blocked("gang", f"waits for room for all {count} at once; {have} have it")


def _how_many(members: Sequence[WaitingRun], wanted: QueueClass, ledger: Ledger) -> int:
    for number, run in enumerate(members):
        node = ledger.node_with_room(wanted)
        if node is None:
            return number
        ledger.take(node, wanted, run.id)
    return len(members)
