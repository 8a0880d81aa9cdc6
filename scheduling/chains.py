"""Runs that start runs: how far such a chain may go, and how it is named.

It is bounded twice, by its depth and by the runs that stem from its root.
"""

from __future__ import annotations

from agents import live_config
from agents.errors import Refused
from scheduling.models import Run

LONGEST_CHAIN_SHOWN = 20


def refuse_endless(parent: Run, target: str) -> None:
    """Raises Refused when one more run would go beyond a bound of `cascade`."""
    bounds = live_config.current().cascade
    stems = Run.objects.filter(root_uid=parent.root_uid or parent.uid)
    if parent.depth + 1 > bounds.max_depth:
        said = f"deeper than {bounds.max_depth}"
    elif stems.exclude(root_uid="").count() >= bounds.max_runs_per_root:
        said = f"of more than {bounds.max_runs_per_root} runs"
    else:
        return
    raise Refused(f"cascade {said}: {' → '.join([*lineage(parent), target])}")


def lineage(run: Run) -> list[str]:
    """Agent ids from the root of the cascade down to this run."""
    names = [run.agent.agent_id]
    while run.parent is not None and len(names) < LONGEST_CHAIN_SHOWN:
        run = run.parent
        names.append(run.agent.agent_id)
    return names[::-1]
