"""What really ran, as a trace: the same work again, under another policy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents.models import Node
from scheduling.models import Run
from scheduling.run_state import RunState
from scheduling.simulation.trace import Job, Machine, Trace, by_arrival

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT)
MOST_JOBS = 100_000


def of_runs(*, since: datetime, until: datetime) -> Trace:
    """Each piece of work that came to an end in the window, by its last attempt.

    Raises ValueError when there is none, or no node.
    """
    rows = Run.objects.filter(
        state__in=ENDED, ended_at__gte=since, ended_at__lt=until, started_at__gte=since
    ).exclude(agent__kind="persistent")
    found = rows.order_by("due_at").values(
        *("uid", "due_at", "started_at", "ended_at", "cpu_millis", "memory_bytes"),
        *("gpus", "priority", "timeout_s", "exit_code"),
    )[:MOST_JOBS]
    nodes = Node.objects.all()
    machines = tuple(
        Machine(n.name, n.cpu_millis, n.memory_bytes, n.gpus) for n in nodes
    )
    if not found or not machines:
        raise ValueError("nothing that ran to its end in that time")
    begins_at = found[0]["due_at"]
    return Trace(by_arrival([_job(row, begins_at) for row in found]), machines)


def _job(row: dict[str, Any], begins_at: datetime) -> Job:
    return Job(
        name=row["uid"],
        at_s=(row["due_at"] - begins_at).total_seconds(),
        takes_s=max((row["ended_at"] - row["started_at"]).total_seconds(), 0.001),
        cpu_millis=row["cpu_millis"],
        memory_bytes=row["memory_bytes"],
        gpus=row["gpus"],
        priority=row["priority"],
        limit_s=row["timeout_s"],
        exit_code=row["exit_code"] or 0,
    )
