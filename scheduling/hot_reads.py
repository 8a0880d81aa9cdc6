"""The few reads that every step makes, said in SQL.

Building such a query in the ORM costs ten times what the database needs to answer it,
and a step makes them hundreds of times a second.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from agents.models import AgentVersion, Node
from scheduling.batch_sql import as_instant, database_instant
from scheduling.live_runs import began_sql
from scheduling.models import Delivery, Occurrence, Run, Schedule

RUN, NODE = Run._meta.db_table, Node._meta.db_table
SCHEDULE, DELIVERY = Schedule._meta.db_table, Delivery._meta.db_table
OCCURRENCE = Occurrence._meta.db_table
VERSION = AgentVersion._meta.db_table


def rows(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))
        return list(cursor.fetchall())


def among(column: str, values: Collection[Any]) -> tuple[str, Any]:
    """A condition "column is one of values" and its one parameter."""
    if connection.vendor == "sqlite":
        said = f"{column} IN (SELECT value FROM json_each(%s))"
        return said, orjson.dumps(list(values)).decode()
    return f"{column} = ANY(%s)", list(values)


@dataclass(frozen=True, slots=True)
class Alarms:
    """When each kind of work is next due; None: not at all as things stand."""

    schedule_at: datetime | None
    queued_at: datetime | None  # a waiting run that is not due yet
    delivery_at: datetime | None
    any_instant_waits: bool = False  # for the run before it to end

    def schedule_is_due(self, now: datetime) -> bool:
        return self.schedule_at is not None and self.schedule_at <= now

    def delivery_is_due(self, now: datetime) -> bool:
        return self.delivery_at is not None and self.delivery_at <= now

    def next_after(self, now: datetime) -> float | None:
        """Seconds until the first of them, 0 for one that has passed."""
        dues = (self.schedule_at, self.queued_at, self.delivery_at)
        waits = [(at - now).total_seconds() for at in dues if at is not None]
        return max(0.0, min(waits)) if waits else None


ALARMS = f"""
SELECT (SELECT min(next_due_at) FROM {SCHEDULE}),
       (SELECT min(due_at) FROM {RUN} WHERE state = 'queued' AND due_at > %s),
       (SELECT min(next_attempt_at) FROM {DELIVERY}
        WHERE sink = 'cascade' AND state = 'pending'),
       EXISTS (SELECT 1 FROM {OCCURRENCE}
               WHERE state = 'planned' AND due_at <= %s AND decided_at IS NOT NULL)
"""


def alarms(now: datetime) -> Alarms:
    moment = database_instant(now)
    ((schedule, queued, delivery, waits),) = rows(ALARMS, [moment, moment])
    return Alarms(
        as_instant(schedule), as_instant(queued), as_instant(delivery), bool(waits)
    )


NODES = f"""
SELECT name, id, cpu_millis, memory_bytes, gpus, environments,
       state = 'up' AND NOT cordoned AND NOT draining, taints, usage
FROM {NODE} ORDER BY name
"""


def nodes() -> list[tuple[Any, ...]]:
    """(name, id, cpu_millis, memory_bytes, gpus, environments, open, taints, usage) of
    each node."""
    return [
        (*row[:5], orjson.loads(row[5]), bool(row[6]), *map(orjson.loads, row[7:]))
        for row in rows(NODES)
    ]


OCCUPIED = f"""
SELECT coalesce(n.name, ''), sum(r.cpu_millis), sum(r.memory_bytes), sum(r.gpus),
       count(*), r.state = 'stopping',
       sum(CASE WHEN r.admitted_at > %s THEN r.memory_bytes ELSE 0 END)
FROM {RUN} r LEFT JOIN {NODE} n ON n.id = r.node_id
WHERE {began_sql("r")} GROUP BY 1, 6
"""
PREEMPTIBLE = f"""
SELECT r.id, coalesce(n.name, ''), r.priority, r.cpu_millis, r.memory_bytes, r.gpus,
       r.admitted_at, coalesce(r.line_at, r.due_at)
FROM {RUN} r LEFT JOIN {NODE} n ON n.id = r.node_id
WHERE {began_sql("r")} AND r.state <> 'stopping' AND r.priority < %s
"""


def occupied(young_since: datetime) -> list[tuple[Any, ...]]:
    """(node, cpu_millis, memory_bytes, gpus, runs, yielding, memory_bytes of those
    admitted since), summed by the database: a thousand running cost no more than ten
    to read."""
    return rows(OCCUPIED, [database_instant(young_since)])


def preemptible(below: int) -> list[tuple[Any, ...]]:
    """(id, node, priority, cpu_millis, memory_bytes, gpus, admitted_at, in line since)
    of runs less urgent."""
    return rows(PREEMPTIBLE, [below]) if below else []


MOST_SPECS = 2000  # kept in a process; a spec has a few kilobytes
_specs: dict[int, dict[str, Any]] = {}


def forget() -> None:
    """Let go of what was kept; for tests, which take versions back."""
    _specs.clear()


def specs(version_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """The definitions of these versions. A version never changes, so each is read
    once in a process; nobody may change what this answers."""
    if missing := [pk for pk in version_ids if pk not in _specs]:
        if len(_specs) > MOST_SPECS:
            _specs.clear()
            missing = list(version_ids)
        said, parameter = among("id", missing)
        found = rows(f"SELECT id, spec FROM {VERSION} WHERE {said}", [parameter])
        _specs.update((pk, orjson.loads(spec)) for pk, spec in found)
    return {pk: _specs[pk] for pk in version_ids}
