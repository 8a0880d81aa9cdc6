"""How many runs there are of each day, counted by the database in one grouped query."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from scheduling.batch_sql import database_instant
from scheduling.live_runs import listed
from scheduling.models import Run
from scheduling.timeline_runs import BEGAN, BEGIN, FAILED, Window

RUNS = f"FROM {Run._meta.db_table} run"


def by_day(window: Window, day: str) -> list[tuple[int, int, int, int, int]]:
    """(agent, day, runs, failed, live) of the runs that overlap the window."""
    where, values = window.where()
    return _rows(
        f"SELECT run.agent_id, {day}, count(*), "
        f"sum(CASE WHEN run.state IN ({listed(FAILED)}) THEN 1 ELSE 0 END), "
        f"sum(CASE WHEN {BEGAN} THEN 1 ELSE 0 END) "
        f"{RUNS} WHERE {where} GROUP BY 1, 2",
        values,
    )


def condition(day: str, agents_on: Mapping[int, Collection[int]], first: int) -> str:
    """Runs of these agents on these days; what began earlier is on the first."""
    parts = []
    for number, agents in agents_on.items():
        on = f"{day} <= {first}" if number == first else f"{day} = {number}"
        parts.append(f"({on} AND run.agent_id IN ({', '.join(map(str, agents))}))")
    return " OR ".join(parts) or "1 = 0"


def states_by_day(
    start: datetime, end: datetime, agents: Collection[int] | None, day: str
) -> list[tuple[int, str, int]]:
    """(day, state, runs) of the runs that began, or were due, in [start, end)."""
    among = ""
    if agents is not None:
        among = f"AND run.agent_id IN ({', '.join(map(str, agents)) or 'NULL'}) "
    edges = [database_instant(start), database_instant(end)]
    return _rows(
        f"SELECT {day}, run.state, count(*) {RUNS} "
        f"WHERE {BEGIN} >= %s AND {BEGIN} < %s {among}GROUP BY 1, 2",
        edges,
    )


def _rows(text: str, values: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return list(cursor.fetchall())
