"""The instants of a window that did not run: skipped or missed, each with its reason.

One by one where they have a row, several in a row as one gap. Two queries, whatever
there is; of very many only the latest are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from scheduling.batch_sql import database_instant
from scheduling.models import Gap, Occurrence, Schedule
from scheduling.move_writes import CARRIED
from scheduling.timeline_runs import Window, sql
from scheduling.triggers.base import key_of

MOST = 1000  # of each kind


@dataclass(frozen=True, slots=True)
class Passed:
    """One instant, or several in a row with one outcome."""

    id: str
    schedule: str
    agent_id: int
    priority: int | None  # the schedule's own
    node_id: int | None
    start: str
    end: str
    count: int
    state: str
    reason: str


def read(window: Window) -> tuple[list[Passed], bool]:
    """What was passed over in the window, and whether there was more than is told."""
    singles = _rows(_SINGLE, window, "due_at", "due_at")
    gaps = _rows(_GAP, window, "to_at", "from_at")
    more = max(len(singles), len(gaps)) > MOST
    found = [*map(_single, singles[:MOST]), *map(_gap, gaps[:MOST])]
    return found, more


# The states are in the text, so that the database sees that its index is for them.
_SINGLE = (
    "SELECT schedule.uid, one.key, schedule.agent_id, schedule.priority, one.node_id, "
    "{at}, one.state, one.reason "
    f"FROM {Occurrence._meta.db_table} one "
    f"JOIN {Schedule._meta.db_table} schedule ON schedule.id = one.schedule_id "
    f"WHERE one.state IN ('skipped', 'missed') AND one.reason <> '{CARRIED}'"
)
_GAP = (
    "SELECT schedule.uid, schedule.agent_id, schedule.priority, "
    "{begin}, {end}, one.count, one.outcome, one.reason "
    f"FROM {Gap._meta.db_table} one "
    f"JOIN {Schedule._meta.db_table} schedule ON schedule.id = one.schedule_id "
    "WHERE 1 = 1"
)


def _rows(query: str, window: Window, end: str, begin: str) -> list[Any]:
    """Rows of a query that reach into the window, the latest first."""
    text = query.format(
        at=sql("text", "one.due_at"),
        begin=sql("text", "one.from_at"),
        end=sql("text", "one.to_at"),
    )
    text += f" AND one.{end} >= %s AND one.{begin} < %s"
    if window.agents is not None:
        named = ", ".join(map(str, window.agents)) or "NULL"
        text += f" AND schedule.agent_id IN ({named})"
    text += f" ORDER BY one.{end} DESC LIMIT {MOST + 1}"
    values = [database_instant(window.start), database_instant(window.end)]
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return list(cursor.fetchall())


def _single(row: Any) -> Passed:
    uid, key, agent, priority, node, at, state, reason = row
    where = (uid, agent, priority, node, at, at)
    return Passed(f"{uid}@{key}", *where, 1, state, reason)


def _gap(row: Any) -> Passed:
    uid, agent, priority, begin, end, count, outcome, reason = row
    first, last = (key_of(datetime.fromisoformat(at)) for at in (begin, end))
    where = (uid, agent, priority, None, begin, end)
    return Passed(f"{uid}@{first}/{last}", *where, count, outcome, reason)
