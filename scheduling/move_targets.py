"""The occurrence a move is about, and whether it can still be moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agents.errors import NotAllowedNow, NotFound
from scheduling import schedules
from scheduling.models import Occurrence, Run, Schedule
from scheduling.run_state import FINAL, RunState
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK, instant_of


@dataclass(frozen=True, slots=True)
class Target:
    """An occurrence that is still to come. `row`: it was moved before."""

    schedule: Schedule
    key: str
    nominal_at: datetime  # the instant its rule names; its id for ever
    due_at: datetime  # where it stands now
    row: Occurrence | None

    @property
    def occurrence_id(self) -> str:
        return f"{self.schedule.uid}@{self.key}"

    @property
    def is_one_off(self) -> bool:
        return self.schedule.kind == "run_at"

    @property
    def timeout_s(self) -> float | None:
        if self.row is not None and self.row.timeout_s is not None:
            return self.row.timeout_s
        return self.schedule.timeout_s


def find_target(occurrence_id: str, now: datetime) -> Target:
    """Raises NotFound for what was never an occurrence, and NotAllowedNow, saying
    why, for one that has run, runs, waits, or was passed over."""
    uid, _, key = occurrence_id.partition("@")
    schedule = schedules.find(uid)
    nominal = instant_of(key)
    if nominal is None:
        raise NotFound("there is no such occurrence")
    rows = Occurrence.objects.filter(schedule=schedule, key=key)
    row = rows.select_related("node").first()
    if row is not None:
        check_row(row)
        return Target(schedule, key, row.nominal_at or nominal, row.due_at, row)
    timetable = timetable_of(schedule)
    if timetable.next_after(nominal - TICK) != nominal:
        raise NotFound("there is no such occurrence")
    if nominal <= schedule.cursor_at:
        raise NotAllowedNow("its time has passed, and it did not run")
    if schedule.ended_at is not None:
        raise NotAllowedNow("the schedule has ended")
    due_at = timetable.due(nominal)
    if due_at <= now:
        raise NotAllowedNow("it is due now")
    return Target(schedule, key, nominal, due_at, None)


def check_row(row: Occurrence) -> None:
    """Raises NotAllowedNow unless it is still to come."""
    if row.state == "planned" and row.decided_at is None:
        return
    if row.state == "planned":
        raise NotAllowedNow("it is due and waits for the run before it to end")
    if row.state != "run":
        raise NotAllowedNow(f"it was {row.state}: {row.reason}")
    last = Run.objects.filter(occurrence=row).order_by("-id").first()
    if last is None or last.state in FINAL:
        raise NotAllowedNow("it has run already; start it again instead")
    if last.state == RunState.QUEUED:
        raise NotAllowedNow("it is due and queued; change its place in the queue")
    raise NotAllowedNow(f"it is {last.state}; it cannot be moved any more")
