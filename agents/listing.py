"""Further columns of agent lists, added by apps above this one.

`agents` knows what an agent is; how it is doing, only the scheduler knows. Each
function takes agents and returns columns by primary key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from agents.models import Agent

Columns = dict[int, dict[str, Any]]
extra_columns: list[Callable[[Collection[Agent]], Columns]] = []


def columns_of(agents: Collection[Agent]) -> Columns:
    """All further columns of the agents, merged."""
    merged: Columns = {agent.pk: {} for agent in agents}
    for columns in extra_columns:
        for pk, found in columns(agents).items():
            merged[pk].update(found)
    return merged
