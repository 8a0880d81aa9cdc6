"""Write what a pass of firing decided: occurrences, runs, events, cursors.

All inside the caller's transaction. The schedule's row is moved on by compare-and-set,
so a pass that was overtaken leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection

from agents import journal
from agents.errors import ChangedMeanwhile, NotAllowedNow
from scheduling import batch_sql, books, gangs, graph_schedules, runs
from scheduling.firing_turn import Turn
from scheduling.models import Occurrence, Run, Schedule
from scheduling.runs import Wanted

ACTOR = "scheduler"
COLUMNS = ("state", "reason", "decided_at", "due_at", "moved")
PAUSE = ("paused_at", "paused_until", "paused_note", "paused_by")
# As SQL, since a thousand schedules may be due in one second.
MOVE_ON = f"""
UPDATE {Schedule._meta.db_table}
SET cursor_at = %s, next_due_at = %s, fired_count = %s, ended_at = %s
WHERE id = %s AND cursor_at = %s AND next_due_at = %s AND version = %s
"""


def write(turns: Sequence[Turn], now: datetime) -> int:
    """Returns how many runs were queued. Raises ChangedMeanwhile when another leader
    was quicker."""
    for turn in turns:
        if turn.schedule.paused_at is not None:
            resume(turn.schedule, now)
        elif turn.passed is not None:
            cursor_at = turn.schedule.cursor_at
            turn.schedule.cursor_at = turn.seen[0]
            books.pass_over(
                turn.schedule, turn.passed, outcome=turn.outcome, actor=ACTOR, now=now
            )
            turn.schedule.cursor_at = cursor_at
        end_former(turn, now)
    save_rows(
        [r for turn in turns for r in (*turn.starts, *turn.others, *turn.shifted)]
    )
    queue([row for turn in turns for row in turn.starts], now)
    journal.record_many([event for turn in turns for event in _events(turn, now)])
    move_on(turns, now)
    return sum(len(turn.starts) for turn in turns)


def resume(schedule: Schedule, now: datetime) -> None:
    """The end of a pause has come: what fell into it was skipped."""
    assert schedule.paused_until is not None, "else it was not due"
    until, reason = schedule.paused_until, books.pause_reason(schedule)
    books.close(schedule, outcome="skipped", reason=reason, actor=ACTOR, now=until)
    schedule.paused_at = schedule.paused_until = None
    schedule.paused_note = schedule.paused_by = ""
    schedule.save(update_fields=PAUSE)
    event = books.entry("schedule.resumed", schedule, ACTOR, now)
    journal.record_many([event])


def end_former(turn: Turn, now: datetime) -> None:
    """Stop the runs that an instant replaces; where nothing is left to stop it starts
    at once."""
    for pks, kill, row in turn.replaced:
        grace_s = 0.0 if kill else None
        ended = [_ended(run, grace_s, now) for run in _runs(pks)]
        if all(ended) and row.state == "planned":
            turn.others.remove(row)
            row.state, row.reason = "run", ""
            turn.starts.append(row)


def _runs(pks: Iterable[int]) -> Iterable[Run]:
    return Run.objects.filter(pk__in=list(pks)).select_related("version", "node")


def _ended(run: Run, grace_s: float | None, now: datetime) -> bool:
    """Ask the run to end; whether nothing of it is left already."""
    reason = "a later one takes its place"
    try:
        stopped = runs.stop(run, actor=ACTOR, now=now, reason=reason, grace_s=grace_s)
    except NotAllowedNow:
        return True  # it ended by itself
    except ChangedMeanwhile:
        return False
    return stopped.ended_at is not None


def save_rows(rows: Sequence[Occurrence]) -> None:
    fresh = [row for row in rows if row.pk is None]
    known = [row for row in rows if row.pk is not None]
    try:
        batch_sql.insert(Occurrence, fresh, known_by=("schedule_id", "key"))
    except IntegrityError as taken:
        raise ChangedMeanwhile("another leader decided these instants") from taken
    if known:
        Occurrence.objects.bulk_update(known, COLUMNS)


def queue(rows: Sequence[Occurrence], now: datetime) -> None:
    """Nobody is woken: the step that fires plans next."""
    plain = [row for row in rows if not row.schedule.graph]
    if plain:
        runs.queue_many([w for r in plain for w in members(r)], now=now, wake=False)
    if len(plain) < len(rows):
        graph_schedules.start([row for row in rows if row.schedule.graph], now)


def members(row: Occurrence) -> list[Wanted]:
    """The run of an instant, or all of its gang."""
    one = wanted(row)
    return gangs.formed(one, row.schedule.gang or gangs.of_agent(one.version.spec))


def wanted(row: Occurrence) -> Wanted:
    schedule = row.schedule
    agent = schedule.agent
    assert agent.current is not None, "an agent is made together with a version"
    timeout_s = row.timeout_s if row.timeout_s is not None else schedule.timeout_s
    key = books.occurrence_id(schedule, row.key)
    if agent.kind == "persistent":
        key = f"persistent:{agent.agent_id}"
    return Wanted(
        agent=agent,
        version=agent.current,
        requested_by=ACTOR,
        due_at=row.due_at,
        occurrence_key=key,
        occurrence=row,
        schedule=schedule,
        params={**schedule.params, **(row.params or {})},
        priority=schedule.priority,
        concurrency=schedule.concurrency,
        timeout_s=timeout_s,
        pinned_node=row.node,
        **caused(row),
    )


def caused(row: Occurrence) -> dict[str, Any]:
    """What an event leaves on its run: why, and the chain it goes on with."""
    if row.nominal_at is not None:
        return {}
    why = {"why": row.reason}
    cause = row.cause
    if cause is None:
        return why
    root = cause.root_uid or cause.uid
    return {**why, "parent_id": cause.pk, "root_uid": root, "depth": cause.depth + 1}


def _events(turn: Turn, now: datetime) -> list[journal.Entry]:
    return [
        books.entry(
            "occurrence.moved" if row.state == "planned" else f"occurrence.{row.state}",
            turn.schedule,
            ACTOR,
            now,
            occurrence=books.occurrence_id(turn.schedule, row.key),
            reason=row.reason,
        )
        for row in (*turn.others, *turn.shifted)
        if row.state in ("skipped", "missed") or row in turn.shifted
    ]


def move_on(turns: Sequence[Turn], now: datetime) -> None:
    """Save the cursors where nobody else did. Raises ChangedMeanwhile otherwise."""
    for turn in turns:
        look_ahead(turn, now)
    adapt = connection.ops.adapt_datetimefield_value
    rows = [
        (
            adapt(turn.schedule.cursor_at),
            adapt(turn.next_due_at),
            turn.schedule.fired_count,
            adapt(turn.schedule.ended_at),
            turn.schedule.pk,
            adapt(turn.seen[0]),
            adapt(turn.seen[1]),
            turn.seen[2],
        )
        for turn in turns
    ]
    with connection.cursor() as cursor:
        cursor.executemany(MOVE_ON, rows)
        if cursor.rowcount != len(rows):
            raise ChangedMeanwhile("another leader moved these schedules on")


def look_ahead(turn: Turn, now: datetime) -> None:
    """Settle what a turn could not know by itself: when the next one is due."""
    schedule = turn.schedule
    looks_itself = turn.must_look_further or turn.next_due_at is None
    if looks_itself or not books.runs_left(schedule):
        turn.next_due_at = books.next_due(schedule)
    if turn.next_due_at is None and books.is_over(schedule):
        schedule.ended_at = now
        reason = "there is no run left"
        event = books.entry("schedule.ended", schedule, ACTOR, now, reason=reason)
        journal.record_many([event])
