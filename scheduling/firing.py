"""Due schedules into queued runs: the way from "it is time" to a run that is wanted.

Called by the leader. Each pass takes the schedules whose `next_due_at` has come (an
index, so the number of schedules does not matter), decides every due instant, and
moves their cursors by compare-and-set: of two leaders one wins. One schedule that
cannot be evaluated is pushed on and journaled; it stops nobody else.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Min

from agents import crash_points
from agents.errors import ChangedMeanwhile
from agents.journal import record_many
from scheduling import books, firing_facts, waiting
from scheduling.firing_turn import Turn
from scheduling.firing_writes import write
from scheduling.models import Schedule

log = logging.getLogger(__name__)
ACTOR = "scheduler"
PUSHED_ON_BY = timedelta(hours=1)  # a schedule that cannot be evaluated


def fire_due(*, now: datetime, limit: int) -> int:
    """Decide what is due, of at most `limit` schedules; returns how many runs were
    queued. Nothing starts before it is due, and no instant twice."""
    due = firing_facts.due_schedules(now, limit)
    queued = _together(due, now) if due else 0
    return queued + waiting.start_waiting(now=now)


def next_due(*, now: datetime) -> datetime | None:
    """When fire_due has something to do next; it may be in the past."""
    ahead = Schedule.objects.filter(next_due_at__isnull=False)
    found: datetime | None = ahead.aggregate(at=Min("next_due_at"))["at"]
    return found


def _together(due: list[Schedule], now: datetime) -> int:
    """All in one transaction; if that fails, each in its own."""
    try:
        with transaction.atomic():
            return _fire(due, now)
    except ChangedMeanwhile:
        return 0  # somebody else moved on; the next pass sees what is left
    except (OperationalError, InterfaceError):
        raise  # the database is at fault, no schedule is
    except Exception:  # poison-row guard: find the one that is at fault
        log.warning("a batch could not be fired; each alone", exc_info=True)
        return sum(_alone(schedule, now) for schedule in due)


def _alone(schedule: Schedule, now: datetime) -> int:
    fresh = firing_facts.fresh(schedule, now)
    if fresh is None:
        return 0
    try:
        with transaction.atomic():
            return _fire([fresh], now)
    except ChangedMeanwhile:
        return 0
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # poison-row guard
        log.exception("schedule %s cannot be fired", schedule.uid)
        _push_on(schedule, error, now)
        return 0


def _fire(due: list[Schedule], now: datetime) -> int:
    turns = [Turn.begin(schedule, now) for schedule in due]
    facts = firing_facts.read(turns, now)
    for turn in turns:
        turn.decide(facts)
    crash_points.reach("before_occurrence")
    return write(turns, now)


def _push_on(schedule: Schedule, error: Exception, now: datetime) -> None:
    """Look at it again in an hour, and let people know."""
    again_at = now + PUSHED_ON_BY
    reason = f"{type(error).__name__}: {error}"[:300]
    with transaction.atomic():
        Schedule.objects.filter(pk=schedule.pk).update(next_due_at=again_at)
        event = books.entry("schedule.stuck", schedule, ACTOR, now, reason=reason)
        record_many([event])
