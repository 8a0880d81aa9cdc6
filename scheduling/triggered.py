"""Schedules that something fires: a condition that became true, a webhook, a file.

What happened has an id of its own. It becomes a planned occurrence under that id, due
at once, and the controller settles it like any other: pause, overlap, the agent's
switch and the limit of runs hold for it. The same id twice is one occurrence.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from agents import journal, redis
from agents.errors import NotAllowedNow
from scheduling import books
from scheduling.kinds import KINDS
from scheduling.models import Occurrence, Run, Schedule, new_uid
from scheduling.triggers.base import TICK

LONGEST_KEY = 80  # the column's width
LONGEST_REASON = 300  # the column's width
PLAIN = re.compile(r"[A-Za-z0-9_.:+-]+", re.ASCII)  # as it stands in an address
DIGEST_CHARS = 48


def fire(
    schedule: Schedule,
    key: str,
    *,
    now: datetime,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
    cause: Run | None = None,
    refused: str = "",
) -> bool:
    """Want one run of the schedule because of the event `key` names. `params` are laid
    over the schedule's own; `cause` is the run whose end the event is. `refused`: it is
    kept as skipped, for this reason.

    Returns False when that event was taken already, or the schedule has ended.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise ValueError(f"an event's id has 1 to {LONGEST_KEY} characters")
    with transaction.atomic():
        row = _locked(schedule.pk)
        if row.ended_at is not None or not row.enabled:
            return False
        _, is_new = Occurrence.objects.get_or_create(
            schedule=row,
            key=key,
            defaults={
                "due_at": now,
                "state": "planned",
                "params": None if params is None else dict(params),
                "reason": (refused or reason)[:LONGEST_REASON],
                "cause": cause,
                **({"state": "skipped", "decided_at": now} if refused else {}),
            },
        )
        if not is_new:
            return False
        if refused:
            _tell_refused(row, key, refused, now)
            return False
        if row.paused_at is None:
            _make_due(row, now)
        transaction.on_commit(partial(redis.wake, "schedule"), robust=True)
    return True


def fire_by_hand(
    schedule: Schedule,
    params: Mapping[str, Any] | None,
    *,
    actor: str,
    now: datetime,
) -> str:
    """Fire it once, to see what it does; the occurrence's id.

    Raises NotAllowedNow for one that runs by the clock, or that does not fire.
    """
    if KINDS[schedule.kind].timed:
        said = "a schedule of set times is not fired; start its agent instead"
        raise NotAllowedNow(said)
    key = key_for("test", new_uid())
    with transaction.atomic():
        reason = f"fired by {actor}"
        if not fire(schedule, key, now=now, params=params, reason=reason):
            raise NotAllowedNow("the schedule has ended or is disabled")
        occurrence = books.occurrence_id(schedule, key)
        event = books.entry(
            "schedule.fired", schedule, actor, now, occurrence=occurrence
        )
        journal.record_many([event])
    return occurrence


def _locked(pk: int) -> Schedule:
    rows = Schedule.objects.select_for_update(of=("self",)).select_related("agent")
    return rows.get(pk=pk)


def key_for(family: str, *parts: str) -> str:
    """A key from what an event is known by: readable where that fits into a key and an
    address, else a digest of it."""
    text = "-".join(parts)
    key = f"{family}-{text}"
    if len(key) <= LONGEST_KEY and PLAIN.fullmatch(text):
        return key
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{family}.{digest[:DIGEST_CHARS]}"


def _tell_refused(row: Schedule, key: str, reason: str, now: datetime) -> None:
    occurrence = books.occurrence_id(row, key)
    said = {"occurrence": occurrence, "reason": reason}
    event = books.entry("occurrence.skipped", row, "scheduler", now, **said)
    journal.record_many([event])


def _make_due(row: Schedule, now: datetime) -> None:
    """Always another instant than before: a pass of firing that looked already finds
    that it was overtaken, and looks again."""
    due_at = row.next_due_at
    due_at = now if due_at is None or due_at > now else due_at - TICK
    Schedule.objects.filter(pk=row.pk).update(next_due_at=due_at)
