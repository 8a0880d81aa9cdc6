"""What the journal tells of a run: that it was queued, and each of its moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agents import journal
from agents.priority import Priority
from scheduling import gangs
from scheduling.batch_sql import iso
from scheduling.models import Run

if TYPE_CHECKING:
    from scheduling.runs import Wanted


def queued(w: Wanted, run: Run) -> journal.Entry:
    data = {
        "agent": w.agent.agent_id,
        "priority": Priority(run.priority).word,
        "due_at": iso(run.due_at),
        "attempt": run.attempt,
        "reason": run.reason,
        **occurrence_of(run.occurrence_key),
    }
    return journal.Entry(
        "run.queued", f"run:{run.uid}", w.requested_by, run.queued_at, data
    )


def moved(
    run: Mapping[str, Any], before: str, to: str, actor: str, now: datetime
) -> journal.Entry:
    data = {
        "agent": run["agent"],
        "before": before,
        "reason": run["reason"],
        "node": run["node"],
        "priority": Priority(run["priority"]).word,
        "due_at": iso(run["due_at"]),
        "started_at": iso(run["started_at"]),
        "ended_at": iso(run["ended_at"]),
        "exit_code": run["exit_code"],
        "signal": run["signal"],
        "token": run["token"],
        **occurrence_of(run["occurrence_key"]),
    }
    return journal.Entry(f"run.{to}", f"run:{run['uid']}", actor, now, data)


def occurrence_of(key: str) -> dict[str, str | None]:
    """Occurrence and schedule as the API names them; none for a run on demand."""
    schedule, _, at = key.partition("@")
    if not at:
        return {"occurrence": None, "schedule": None}
    return {"occurrence": gangs.occurrence_of(key), "schedule": schedule}
