"""EASY backfill: the first run that waits for room gets a reservation. Pure.

From the expected ends of what runs now follows when and where the run that waits could
start: its shadow time. Whoever comes after it in the queue starts now only if it will
be over by then, or takes room that is left beside it then. So small runs fill the gaps
and the large one is never put off by them.

What has no known end is treated as never ending. A run that waits for such room has no
shadow time and keeps nobody back: nothing that starts now could help or hinder it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduling.planner.ledger import Ledger
from scheduling.planner.snapshot import End, QueueClass, WaitingRun

BY_ROOM = ("busy", "slots", "gang")
Placed = list[tuple[WaitingRun, str]]


def waits_for_room(code: str) -> bool:
    return code.partition(":")[0] in BY_ROOM


@dataclass(slots=True)
class Reservation:
    """Room kept for one run (or gang) from `at` on."""

    at: datetime
    now: datetime
    lengths: Mapping[int, timedelta]
    future: Ledger = field(repr=False)  # as of `at`, with the run in its place

    def permits(self, run: WaitingRun, wanted: QueueClass, node: str) -> bool:
        """Whether it may start now without putting off who was before it."""
        if self.is_over_by_then(run):
            return True
        if self.future.slots <= 0 or self.future.bar(node, wanted):
            return False
        return not self.future.lacks_now(node, wanted.need)

    def is_over_by_then(self, run: WaitingRun) -> bool:
        length = self.lengths.get(run.id)
        return length is not None and self.now + length <= self.at

    def note(self, run: WaitingRun, wanted: QueueClass, node: str) -> None:
        """It starts now; if it will still be there, its room is taken then too."""
        if not self.is_over_by_then(run):
            self.future.take(node, wanted, run.id)

    def copy(self) -> Reservation:
        return Reservation(self.at, self.now, self.lengths, self.future.copy())


def reserve(
    members: Sequence[WaitingRun],
    wanted: QueueClass,
    ledger: Ledger,
    ends: Sequence[End],
    now: datetime,
    lengths: Mapping[int, timedelta],
) -> Reservation | None:
    """The earliest moment with room for all of the members, found by halving: more
    ends never leave less room."""
    finite = sorted(
        ((e.ends_at, number, e) for number, e in enumerate(ends) if e.ends_at),
    )
    low, high, found = 1, len(finite), None
    while low <= high:
        middle = (low + high) // 2
        at = finite[middle - 1][0]
        future = ledger.copy()
        for ends_at, _, end in finite:
            if ends_at > at:
                break
            future.release(end)
        if place_all(members, wanted, future) is None:
            low = middle + 1
        else:
            found = Reservation(at, now, lengths, future)
            high = middle - 1
    return found


def place_all(
    members: Sequence[WaitingRun],
    wanted: QueueClass,
    ledger: Ledger,
    permits: Callable[[WaitingRun, str], bool] = lambda run, node: True,
) -> Placed | None:
    """Take room for each of the members; None, and some of it taken, where one finds
    none."""
    placed: Placed = []
    for run in members:
        node = ledger.node_with_room(wanted, lambda n, r=run: permits(r, n))  # type: ignore[misc]
        if node is None:
            return None
        ledger.take(node, wanted, run.id)
        placed.append((run, node))
    return placed
