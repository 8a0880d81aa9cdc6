"""The sink that starts another agent, which gets the finished run's result.

A chain is bounded twice, by its depth and by the runs that stem from its root; what
would go beyond is refused with the chain named.
"""

from __future__ import annotations

from datetime import datetime

from agents import agent_registry, live_config
from agents.errors import Refused
from scheduling import runs
from scheduling.models import Run

LONGEST_CHAIN_SHOWN = 20


def deliver(parent: Run, target: str, now: datetime) -> str:
    """Queue `target` as a child of `parent`, inside the caller's transaction.

    Raises Refused beyond the bounds, NotFound for an unknown agent, NotAllowedNow for
    one that may not run.
    """
    agent = agent_registry.resolve(target)
    refuse_endless(parent, target)
    child = runs.request_run(
        agent,
        actor=f"run:{parent.uid}",
        now=now,
        parent_id=parent.pk,
        root_uid=parent.root_uid or parent.uid,
        depth=parent.depth + 1,
        why=f"started by {parent.agent.agent_id}",
    )
    return f"started {child.uid}"


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
