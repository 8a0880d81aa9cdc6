"""What was handed over and never taken: found by its age, and put right."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from scheduling import live_runs, runs
from scheduling.run_state import RunState
from scheduling.runs import Step

S = RunState


@transaction.atomic
def take_back(*, now: datetime, older_than_s: float) -> int:
    """Return runs to the queue that were admitted and whose node never came.

    Safe while a late job is still on its way: the next admission raises the token,
    so the late one wins nothing.
    """
    stale = live_runs.began().filter(
        state=S.ADMITTED, admitted_at__lt=now - timedelta(seconds=older_than_s)
    )
    steps = [
        Step(pk, token, "its node did not take it in time", {"node_id": None})
        for pk, token in stale.values_list("pk", "token")
    ]
    moved = runs.move_many(
        steps, before=S.ADMITTED, to=S.QUEUED, actor="scheduler", now=now
    )
    if moved:
        runs.wake_on_commit("taken back")
    return len(moved)
