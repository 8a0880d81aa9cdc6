"""Which GPUs a run is given. Pure: the same devices and holders, the same answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduling.planner.snapshot import Device


def choose(
    devices: Sequence[Device], held: Mapping[str, int], count: int
) -> tuple[str, ...] | None:
    """`count` different devices, none beyond its share; None where there are too few.

    `held`: how many runs have each. Those with the fewest come first, so that runs
    share only when they must.
    """
    free = [d for d in devices if held.get(d.id, 0) < d.share]
    if len(free) < count:
        return None
    free.sort(key=lambda d: held.get(d.id, 0))  # stable: else in the node's order
    return tuple(d.id for d in free[:count])
