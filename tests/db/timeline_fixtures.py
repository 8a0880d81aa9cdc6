"""Helpers for the tests of the timeline: a schedule, and runs that are over."""

from __future__ import annotations

from datetime import timedelta

from scheduling import schedules
from scheduling.models import Run, Schedule, new_uid
from scheduling.run_state import RunState as S
from tests.conftest import NOON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def plan(agent, **rule) -> Schedule:
    raw = {"timezone": "UTC", **rule}
    return schedules.create(agent, raw, actor="user:test", now=NOON)


def past_runs(
    agent, node, count, *, state=S.SUCCEEDED, took_s=30.0, every=HOUR
) -> None:
    """Runs that ended before noon, the newest an interval ago."""
    begins = [NOON - every * (n + 1) for n in range(count)]
    Run.objects.bulk_create(
        Run(
            agent=agent,
            version=agent.current,
            state=state,
            state_since=at,
            priority=agent.priority,
            occurrence_key=new_uid(),
            requested_by="user:test",
            exec_env="subprocess",
            cpu_millis=1000,
            memory_bytes=2 * 10**9,
            queue_class="q",
            due_at=at,
            queued_at=at,
            admitted_at=at,
            started_at=at,
            ended_at=at + timedelta(seconds=took_s),
            node=node,
        )
        for at in begins
    )
