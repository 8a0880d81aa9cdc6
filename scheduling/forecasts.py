"""How long an agent's next run will take and how much memory, by its history.

Pages and plans ask often and it changes slowly, so what was read is kept for a while.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection

from agents.models import Agent
from scheduling import forecast_rules
from scheduling.forecast_rules import COLD_S, RECENT, Quantiles, Sample
from scheduling.models import Run

KEPT = timedelta(seconds=30)
SIZE_KEY = "input_size"  # of a run's parameters: a number, in whatever unit
LEAST_S = 0.001
# The inner query walks the index (agent, -id) and stops at the limit.
SQL = f"""
SELECT agent.id, agent.kind, agent.current_id, run.version_id, {{seconds}},
       run.peak_memory_bytes, {{size}}
FROM {Agent._meta.db_table} agent
LEFT JOIN {Run._meta.db_table} run ON run.id IN (
  SELECT recent.id FROM {Run._meta.db_table} recent
  WHERE recent.agent_id = agent.id AND recent.state = 'succeeded'
  AND recent.started_at IS NOT NULL AND recent.ended_at IS NOT NULL
  ORDER BY recent.id DESC LIMIT {RECENT})
ORDER BY agent.id, run.id DESC
"""
SECONDS = {
    "sqlite": "(julianday(run.ended_at) - julianday(run.started_at)) * 86400.0",
    "postgresql": "extract(epoch from run.ended_at - run.started_at)::float",
}
SIZE = {
    "sqlite": f"CASE WHEN json_type(run.params, '$.{SIZE_KEY}') IN ('integer', 'real') "
    f"THEN run.params ->> '$.{SIZE_KEY}' END",
    "postgresql": f"CASE WHEN jsonb_typeof(run.params -> '{SIZE_KEY}') = 'number' "
    f"THEN (run.params ->> '{SIZE_KEY}')::float END",
}


@dataclass(frozen=True, slots=True)
class History:
    """The newest successes of one agent, newest first."""

    kind: str
    current: int  # its version now
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """All histories as they were read."""

    of_agent: Mapping[int, History] = field(default_factory=dict)
    kinds_s: Mapping[str, Quantiles] = field(default_factory=dict)
    kinds_bytes: Mapping[str, Quantiles] = field(default_factory=dict)

    def duration(
        self, agent: int, kind: str, *, version: int = 0, size: float | None = None
    ) -> Quantiles:
        """Seconds from start to end. `version` 0: the agent's current one."""
        history = self.of_agent.get(agent)
        return forecast_rules.forecast(
            history.samples if history else (),
            forecast_rules.seconds,
            version=version or (history.current if history else 0),
            size=size,
            kind=self.kinds_s.get(kind),
            cold=COLD_S,
        )

    def memory(
        self, agent: int, kind: str, *, declared: int, size: float | None = None
    ) -> Quantiles:
        """Bytes at the peak; of an agent nobody knows, what it declares."""
        history = self.of_agent.get(agent)
        return forecast_rules.forecast(
            history.samples if history else (),
            forecast_rules.peak,
            version=history.current if history else 0,
            size=size,
            kind=self.kinds_bytes.get(kind),
            cold=declared,
        )


_kept: tuple[datetime, Book] | None = None


def book(now: datetime) -> Book:
    global _kept
    if _kept is None or not timedelta() <= now - _kept[0] < KEPT:
        _kept = (now, read())
    return _kept[1]


def forget() -> None:
    """Read afresh next time."""
    global _kept
    _kept = None


def read() -> Book:
    vendor = connection.vendor
    with connection.cursor() as cursor:
        cursor.execute(SQL.format(seconds=SECONDS[vendor], size=SIZE[vendor]))
        rows = cursor.fetchall()
    found = {
        agent: _history(list(own)) for agent, own in groupby(rows, lambda row: row[0])
    }
    by_kind: dict[str, list[tuple[Sample, ...]]] = defaultdict(list)
    for history in found.values():
        by_kind[history.kind].append(history.samples)
    kinds = [
        {
            k: q
            for k, own in by_kind.items()
            if (q := forecast_rules.of_kind(own, value))
        }
        for value in (forecast_rules.seconds, forecast_rules.peak)
    ]
    return Book(found, *kinds)


def _history(rows: list[tuple[Any, ...]]) -> History:
    _, kind, current, *_ = rows[0]
    samples = tuple(
        Sample(max(round(took, 3), LEAST_S), peak, version, size)
        for *_, version, took, peak, size in rows
        if version is not None  # an agent that never succeeded
    )
    return History(kind, current or 0, samples)


def told(agent: Agent, size: float | None, now: datetime) -> dict[str, Any]:
    """Of one agent, for the API."""
    pages = book(now)
    declared = agent.spec["memory_bytes"]
    took = pages.duration(agent.pk, agent.kind, size=size)
    needs = pages.memory(agent.pk, agent.kind, declared=declared, size=size)
    return {
        "agent": agent.agent_id,
        "input_size": size,
        "duration": _row(took),
        "memory": {**_row(needs), "declared": declared},
    }


def _row(found: Quantiles) -> dict[str, Any]:
    return {
        "p50": found.p50,
        "p90": found.p90,
        "p95": found.p95,
        "n": found.n,
        "basis": found.basis,
    }
