"""Helpers for the tests of schedules: make one, fire, and read what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from scheduling import firing, schedules
from scheduling.models import Gap, Occurrence, Run, Schedule

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
PERSON = "user:test"


def at(text: str) -> datetime:
    """ "13:00" on the tests' day, or a whole instant."""
    full = text if "T" in text else f"2026-11-23T{text}"
    return datetime.fromisoformat(full).replace(tzinfo=UTC)


def plan(agent: Any, *, now: datetime = NOON, **raw: Any) -> Schedule:
    return schedules.create(agent, raw, actor=PERSON, now=now)


def fire(now: datetime) -> int:
    return firing.fire_due(now=now, limit=500)


def again(schedule: Schedule) -> Schedule:
    return schedules.find(schedule.uid)


def outcomes(schedule: Schedule) -> dict[str, str]:
    """Key's time of day -> state, of every row."""
    rows = Occurrence.objects.filter(schedule=schedule).order_by("key")
    return {row.key[9:15]: row.state for row in rows}


def runs_of(schedule: Schedule) -> list[Run]:
    return list(Run.objects.filter(schedule=schedule).order_by("due_at", "id"))


def gaps_of(schedule: Schedule) -> list[Gap]:
    return list(Gap.objects.filter(schedule=schedule).order_by("id"))


def end_runs(schedule: Schedule, now: datetime) -> None:
    """Every live run of the schedule is over, as if it had been cancelled."""
    from scheduling import runs
    from scheduling.run_state import FINAL

    for run in runs_of(schedule):
        if run.state not in FINAL:
            runs.stop(run, actor=PERSON, now=now)
