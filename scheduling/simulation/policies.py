"""Ways to schedule that can be compared, as settings of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

SAME: Mapping[str, object] = {
    "max_concurrent_agents": 100_000,
    "max_memory_usage": "100%",
}
FIRST_FIT, EASY = {"placement.backfill": "off"}, {"placement.backfill": "easy"}
POLICIES: Mapping[str, Mapping[str, object]] = {
    "fifo": {"scheduler_mode": "fifo", **FIRST_FIT},
    "lifo": {"scheduler_mode": "lifo", **FIRST_FIT},
    "priority": {"scheduler_mode": "priority", **FIRST_FIT},
    "fifo-easy": {"scheduler_mode": "fifo", **EASY},
    "priority-easy": {"scheduler_mode": "priority", **EASY},
}


def config_of(policy: str) -> dict[str, object]:
    """Raises KeyError for a policy that is not known."""
    return {**SAME, **POLICIES[policy]}
