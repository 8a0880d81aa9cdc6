"""Ways to schedule that can be compared, as settings of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

SAME: Mapping[str, object] = {"max_concurrent_agents": 100_000}
POLICIES: Mapping[str, Mapping[str, object]] = {
    "fifo": {"scheduler_mode": "fifo"},
    "lifo": {"scheduler_mode": "lifo"},
    "priority": {"scheduler_mode": "priority"},
}


def config_of(policy: str) -> dict[str, object]:
    """Raises KeyError for a policy that is not known."""
    return {**SAME, **POLICIES[policy]}
