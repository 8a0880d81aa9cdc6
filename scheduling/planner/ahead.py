"""The plan stepped through what is still to come: planned runs join the line when they
are due. Pure.

The same world as a forecast's, which only knows who waits already; and how much is used
at the fullest moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from scheduling.planner.forward import Running, World
from scheduling.planner.snapshot import QueueClass, Resources, Snapshot

MOST_STEPS = 2000


@dataclass(frozen=True, slots=True)
class Coming:
    """A run that joins the line later; `line` holds it and nobody else."""

    at: datetime
    line: QueueClass


@dataclass(frozen=True, slots=True)
class Ahead:
    starts: Mapping[int, datetime]
    peak: Resources
    peak_slots: int
    complete: bool  # it was stepped through to the end


def look_ahead(
    snapshot: Snapshot,
    running: Collection[Running],
    takes: Mapping[int, float],
    coming: Sequence[Coming],
    *,
    now: datetime,
    until: datetime,
    preemption: bool = False,
) -> Ahead:
    """Who starts when up to `until`. `takes`: seconds of all that waits or comes."""
    world = World(snapshot, list(running), takes, now, preemption)
    world.until = until
    ahead = sorted(coming, key=lambda one: one.at)
    peak, slots, next_up = Resources(), 0, 0
    for _ in range(MOST_STEPS):
        while next_up < len(ahead) and ahead[next_up].at <= world.now:
            _join(world, ahead[next_up].line)
            next_up += 1
        world.settle()
        peak, slots = _fuller(peak, _held(world)), max(slots, len(world.running))
        due = ahead[next_up].at if next_up < len(ahead) else None
        if not _step(world, due):
            return Ahead(world.starts, peak, slots, complete=True)
    return Ahead(world.starts, peak, slots, complete=False)


def _join(world: World, line: QueueClass) -> None:
    known = world.waiting.get(line.name)
    joined = line if known is None else replace(known, first=known.first + line.first)
    world.waiting[line.name] = joined


def _step(world: World, due: datetime | None) -> bool:
    """To the next that joins, or the next end, whichever is first."""
    first = min((one.ends_at for one in world.running), default=None)
    if due is not None and due <= world.until and (first is None or due < first):
        world.now = due
        return True
    if due is None and not world.waiting:
        return False
    return world.go_on()


def _held(world: World) -> Resources:
    return sum((one.need for one in world.running), Resources())


def _fuller(a: Resources, b: Resources) -> Resources:
    return Resources(
        max(a.cpu_millis, b.cpu_millis),
        max(a.memory_bytes, b.memory_bytes),
        max(a.gpus, b.gpus),
        max(a.bandwidth_bps, b.bandwidth_bps),
    )
