"""Instants that came while a run was going and wait for it to end.

They are rows with state "planned" that were decided already. The controller is woken
when a run ends and asks again here.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from scheduling import firing_facts, firing_writes
from scheduling.models import Occurrence, Schedule

LOOKED_AT = 2_000  # waiting instants of one pass
WAITING = f"""
SELECT schedule_id FROM {Occurrence._meta.db_table}
WHERE state = 'planned' AND due_at <= %s AND decided_at IS NOT NULL
ORDER BY due_at LIMIT %s
"""


def start_waiting(*, now: datetime) -> int:
    """Start the oldest waiting instant of each schedule that has no live run.

    Returns how many were queued.
    """
    pks = waiting_schedules(now)
    if not pks:
        return 0
    with transaction.atomic():
        return sum(_start(schedule, now) for schedule in free(pks))


def waiting_schedules(now: datetime) -> set[int]:
    """Schedules with an instant that waits. SQL, since every step asks for it."""
    with connection.cursor() as cursor:
        moment = connection.ops.adapt_datetimefield_value(now)
        cursor.execute(WAITING, [moment, LOOKED_AT])
        return {pk for (pk,) in cursor.fetchall()}


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
