"""How long an agent's runs take: the median of its recent successes.

Pages ask often and it changes slowly, so the answer is kept for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median

from django.db import connection

from agents.models import Agent
from scheduling.models import Run

RECENT = 20  # runs of each agent the median is of
KEPT = timedelta(seconds=30)
UNKNOWN_S = 60.0  # expected of an agent that has not succeeded yet
LEAST_S = 1.0  # shorter than this cannot be seen on a calendar
# The inner query walks the index (agent, -id) and stops at the limit.
SQL = f"""
SELECT agent.id, {{seconds}} FROM {Agent._meta.db_table} agent
JOIN {Run._meta.db_table} run ON run.id IN (
  SELECT recent.id FROM {Run._meta.db_table} recent
  WHERE recent.agent_id = agent.id AND recent.state = 'succeeded'
  AND recent.started_at IS NOT NULL AND recent.ended_at IS NOT NULL
  ORDER BY recent.id DESC LIMIT {RECENT})
ORDER BY agent.id
"""
SECONDS = {
    "sqlite": "(julianday(run.ended_at) - julianday(run.started_at)) * 86400.0",
    "postgresql": "extract(epoch from run.ended_at - run.started_at)::float",
}

_kept: tuple[datetime, dict[int, float]] | None = None


def expected(now: datetime) -> Mapping[int, float]:
    """Agent's primary key -> seconds its next run will probably take.

    Agents without a success are missing; take UNKNOWN_S for them.
    """
    global _kept
    if _kept is None or not timedelta() <= now - _kept[0] < KEPT:
        _kept = (now, read())
    return _kept[1]


def forget() -> None:
    """Read afresh next time."""
    global _kept
    _kept = None


def read() -> dict[int, float]:
    with connection.cursor() as cursor:
        cursor.execute(SQL.format(seconds=SECONDS[connection.vendor]))
        rows = cursor.fetchall()
    return {
        agent: max(round(median(took for _, took in runs), 3), LEAST_S)
        for agent, runs in groupby(rows, key=lambda row: row[0])
    }
