"""A schedule as the API shows it."""

from __future__ import annotations

from typing import Any

from agents.http import iso
from scheduling.kinds import KINDS
from scheduling.models import Schedule
from scheduling.schedule_input import shape_of
from scheduling.schedules import SHAPED
from scheduling.timetables import human


def shape(schedule: Schedule) -> dict[str, Any]:
    """Every key that can be sent, and what has become of it."""
    sent = shape_of({c: getattr(schedule, c) for c in SHAPED}, schedule.agent.agent_id)
    split_from = schedule.split_from
    return {
        "id": schedule.uid,
        **dict.fromkeys(KINDS),
        **sent,
        "kind": schedule.kind,
        "rule_text": rule_text(schedule),
        "next_due_at": iso(schedule.next_due_at),
        "paused": paused(schedule),
        "anchor_at": iso(schedule.anchor_at),
        "shift_s": schedule.shift_s,
        "trigger_state": schedule.trigger_state,
        "fired_count": schedule.fired_count,
        "ended_at": iso(schedule.ended_at),
        "split_from": split_from.uid if split_from is not None else None,
        "created_at": iso(schedule.created_at),
        "created_by": schedule.created_by,
        "version": schedule.version,
    }


def rule_text(schedule: Schedule) -> str:
    """The rule in words; a rule that cannot be read is shown as it stands."""
    try:
        return human(schedule)
    except ValueError:
        return schedule.rule


def paused(schedule: Schedule) -> dict[str, Any] | None:
    if schedule.paused_at is None:
        return None
    return {
        "at": iso(schedule.paused_at),
        "by": schedule.paused_by,
        "note": schedule.paused_note,
        "until": iso(schedule.paused_until),
    }
