"""Instants that came while a run was going and wait for it to end.

They are rows with state "planned" that were decided already. The controller is woken
when a run ends and asks again here.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from scheduling import firing_facts, firing_writes
from scheduling.models import Occurrence, Schedule

LOOKED_AT = 2_000  # waiting instants of one pass
COLUMNS = ("state", "reason", "decided_at")


def start_waiting(*, now: datetime) -> int:
    """Start the oldest waiting instant of each schedule that has no live run.

    Returns how many were queued.
    """
    waiting = Occurrence.objects.filter(
        state="planned", due_at__lte=now, decided_at__isnull=False
    ).order_by("due_at")[:LOOKED_AT]
    pks = {pk for pk in waiting.values_list("schedule_id", flat=True)}
    if not pks:
        return 0
    with transaction.atomic():
        return sum(_start(schedule, now) for schedule in free(pks))


def free(pks: set[int]) -> list[Schedule]:
    """Those of the schedules that may start something."""
    found = Schedule.objects.filter(pk__in=pks, paused_at=None, agent__enabled=True)
    schedules = list(found.select_related("agent__current"))
    live = firing_facts.live_runs(schedules)
    return [s for s in schedules if not live.get(s.pk)]


def _start(schedule: Schedule, now: datetime) -> int:
    """Take the schedule's oldest waiting row; whoever takes it first starts it."""
    rows = Occurrence.objects.filter(
        schedule=schedule, state="planned", due_at__lte=now, decided_at__isnull=False
    )
    row = rows.select_related("node").order_by("due_at").first()
    if row is None:
        return 0
    taken = Occurrence.objects.filter(pk=row.pk, state="planned")
    if not taken.update(state="run", reason="", decided_at=now):
        return 0
    row.schedule = schedule
    firing_writes.queue([row], now)
    return 1
