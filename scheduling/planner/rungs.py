"""The rungs of the preemption ladder: in how many ways a run can yield, and what each
way gives back. Cheapest lost work first. Pure.
"""

from __future__ import annotations

from enum import IntEnum

from scheduling.planner.snapshot import NOTHING, HeldRun, Resources


class Rung(IntEnum):
    FREEZE = 1  # gives CPU and its slot; loses nothing
    RECLAIM = 2  # frozen, and its memory written out: memory too; slow to go on
    CHECKPOINT = 3  # it saves its work and ends: everything; loses little
    STOP = 4  # everything; its work so far is lost

    @property
    def word(self) -> str:
        return self.name.lower()


def gain(held: HeldRun, rung: Rung) -> Resources:
    """What comes free of what the run holds."""
    if rung not in held.rungs:
        return NOTHING
    if rung == Rung.FREEZE:
        return Resources(held.need.cpu_millis)
    if rung == Rung.RECLAIM:
        return Resources(held.need.cpu_millis, held.need.memory_bytes)
    return held.need


def frees_devices(rung: Rung) -> bool:
    """A frozen program keeps what it has in a GPU."""
    return rung >= Rung.CHECKPOINT


def lost_s(held: HeldRun, rung: Rung) -> float:
    """Seconds of work that have to be done again."""
    return held.ran_s if rung == Rung.STOP else 0.0


def strongest(held: HeldRun, most: Rung) -> Rung | None:
    """The way that gives most among those up to `most`. Where it can save its work
    first it does: that gives as much as a bare stop."""
    can = [Rung(r) for r in held.rungs if r <= most]
    if not can:
        return None
    best = max(can)
    return Rung.CHECKPOINT if Rung.CHECKPOINT in can else best
