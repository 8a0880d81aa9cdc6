"""Memory by measurement: when a node takes no more, whatever runs declare. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scheduling.planner.snapshot import Measured

if TYPE_CHECKING:
    from scheduling.planner.ledger import Ledger

RELEASE = 0.03  # a node over the limit takes runs again this far below it


def measured(
    *, used: int, total: int, limit_fraction: float, was_over: bool, young: int
) -> Measured:
    """What of a machine's memory is left for agents.

    `young`: what runs declared that came too lately to have grown; they may still
    take it. `was_over`: it was above the limit and is not yet RELEASE below it.
    """
    most = limit_fraction - RELEASE if was_over else limit_fraction
    free = int(total * most) - used - young
    return Measured(free, used / total, limit_fraction, was_over)


def is_over(fraction: float, limit_fraction: float, *, before: bool) -> bool:
    """Whether a node is above the limit, or has not come RELEASE below it again."""
    return fraction > (limit_fraction - RELEASE if before else limit_fraction)


def said(
    ledger: Ledger, nodes: Sequence[str], short: Mapping[str, list[str]]
) -> str | None:
    """For people, when measured memory alone keeps all the nodes shut."""
    texts = []
    for name in nodes:
        seen = ledger.nodes[name].measured
        if seen is None or short[name] != ["memory"] or seen.free_bytes > 0:
            return None
        texts.append(_one(name, seen))
    return "; ".join(texts) or None


def _one(name: str, seen: Measured) -> str:
    used, limit = f"{seen.used_fraction:.0%}", f"{seen.limit_fraction:.0%}"
    if seen.used_fraction > seen.limit_fraction:
        return f"memory in use on {name}: {used} is above max_memory_usage {limit}"
    if seen.was_over:
        again = f"{seen.limit_fraction - RELEASE:.0%}"
        return f"memory in use on {name}: {used}; it takes runs again below {again}"
    return (
        f"memory in use on {name}: {used}, and runs that have just started may take it "
        f"above max_memory_usage {limit}"
    )
