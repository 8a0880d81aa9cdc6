"""Schedules that something fires: a condition that became true, a webhook, a file.

What happened has an id of its own. It becomes a planned occurrence under that id, due
at once, and the controller settles it like any other: pause, overlap, the agent's
switch and the limit of runs hold for it. The same id twice is one occurrence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from agents import redis
from scheduling.models import Occurrence, Schedule
from scheduling.triggers.base import TICK

LONGEST_KEY = 80  # the column's width


def fire(
    schedule: Schedule,
    key: str,
    *,
    now: datetime,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
) -> bool:
    """Want one run of the schedule because of the event `key` names. `params` are laid
    over the schedule's own.

    Returns False when that event was taken already, or the schedule has ended.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise ValueError(f"an event's id has 1 to {LONGEST_KEY} characters")
    with transaction.atomic():
        row = Schedule.objects.select_for_update().get(pk=schedule.pk)
        if row.ended_at is not None or not row.enabled:
            return False
        _, is_new = Occurrence.objects.get_or_create(
            schedule=row,
            key=key,
            defaults={
                "due_at": now,
                "state": "planned",
                "params": None if params is None else dict(params),
                "reason": reason[:300],
            },
        )
        if not is_new:
            return False
        if row.paused_at is None:
            _make_due(row, now)
        transaction.on_commit(partial(redis.wake, "schedule"), robust=True)
    return True


def _make_due(row: Schedule, now: datetime) -> None:
    """Always another instant than before: a pass of firing that looked already finds
    that it was overtaken, and looks again."""
    due_at = row.next_due_at
    due_at = now if due_at is None or due_at > now else due_at - TICK
    Schedule.objects.filter(pk=row.pk).update(next_due_at=due_at)
