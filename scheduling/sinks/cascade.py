"""The sink that starts another agent, which gets the finished run's result.

A chain is bounded twice, by its depth and by the runs that stem from its root; what
would go beyond is refused with the chain named.
"""

from __future__ import annotations

from datetime import datetime

from agents import agent_registry
from scheduling import runs
from scheduling.chains import refuse_endless
from scheduling.models import Run


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
