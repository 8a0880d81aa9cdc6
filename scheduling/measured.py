"""What a node's sampler saw of its memory, for admission; nothing when it is stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scheduling.planner import pressure
from scheduling.planner.snapshot import Measured

FRESH = timedelta(seconds=30)  # an older sample says nothing of now
GROWN_AFTER = timedelta(seconds=30)  # since admission; until then it counts in full


def young_of(occupied: Sequence[Sequence[Any]]) -> Mapping[str, int]:
    """Node -> bytes declared by runs too young to have grown; see hot_reads.occupied.

    Runs that were asked to stop grow no more.
    """
    found = Counter[str]()
    for row in occupied:
        if not row[5]:
            found[row[0]] += int(row[6])
    return found


def of(
    usage: Mapping[str, Any], limit_fraction: float, young: int, now: datetime
) -> Measured | None:
    """None when the node does not sample, or has not lately."""
    sampled_at, total = usage.get("sampled_at"), usage.get("memory_total_bytes")
    if not sampled_at or not total:
        return None
    if now - datetime.fromisoformat(sampled_at) > FRESH:
        return None
    return pressure.measured(
        used=usage["memory_used_bytes"],
        total=total,
        limit_fraction=limit_fraction,
        was_over=bool(usage.get("memory_over")),
        young=young,
    )
