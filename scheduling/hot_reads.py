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
       state = 'up' AND NOT cordoned AND NOT draining, state = 'up',
       taints, usage, balance
FROM {NODE} ORDER BY name
"""


def nodes() -> list[tuple[Any, ...]]:
    """(name, id, cpu_millis, memory_bytes, gpus, environments, open, up, taints, usage,
    balance) of each node."""
    return [
        (
            *row[:5],
            orjson.loads(row[5]),
            bool(row[6]),
            bool(row[7]),
            *map(orjson.loads, row[8:]),
        )
        for row in rows(NODES)
    ]


RESTS = "(r.suspended_at IS NOT NULL AND r.wish <> 'thaw')"  # its CPU is others'
HELD = f"""
CASE WHEN {RESTS} THEN 0 ELSE r.cpu_millis END AS cpu,
r.memory_bytes - CASE WHEN {RESTS} THEN coalesce(r.reclaimed_bytes, 0) ELSE 0 END
AS memory, r.gpus AS gpus, CASE WHEN {RESTS} THEN 0 ELSE 1 END AS slots
"""
OCCUPIED = f"""
SELECT node, sum(cpu), sum(memory), sum(gpus), sum(slots), going, sum(young) FROM (
SELECT coalesce(n.name, '') AS node, {HELD},
       CASE WHEN r.state = 'stopping' THEN 'stop'
            WHEN r.state IN ('running', 'suspended') AND r.wish IN ('freeze', 'reclaim')
            THEN r.wish ELSE '' END AS going,
       CASE WHEN r.admitted_at > %s THEN r.memory_bytes ELSE 0 END AS young
FROM {RUN} r LEFT JOIN {NODE} n ON n.id = r.node_id
WHERE {began_sql("r")}) AS held
GROUP BY node, going
"""
PREEMPTIBLE = f"""
SELECT r.id, coalesce(n.name, ''), r.priority, {HELD},
       r.state, r.wish, r.exec_env, r.version_id, r.started_at,
       r.reclaimed_bytes IS NOT NULL, r.memory_bytes,
       r.admitted_at, coalesce(r.line_at, r.due_at)
FROM {RUN} r LEFT JOIN {NODE} n ON n.id = r.node_id
WHERE {began_sql("r")} AND r.state <> 'stopping' AND r.priority < %s
AND r.wish NOT IN ('freeze', 'reclaim', 'thaw')
"""
SUSPENDED = f"""
SELECT r.id, r.token, r.due_at, r.priority, r.exec_env, r.cpu_millis,
       coalesce(r.reclaimed_bytes, 0), n.name
FROM {RUN} r JOIN {NODE} n ON n.id = r.node_id
WHERE {began_sql("r")} AND r.state = 'suspended' AND r.wish = ''
AND r.suspended_by = 'scheduler' AND r.suspended_at <= %s ORDER BY r.id
"""
YIELDS = f"SELECT name, yields FROM {NODE}"


def occupied(young_since: datetime) -> list[tuple[Any, ...]]:
    """(node, cpu_millis, memory_bytes, gpus, slots, how they yield, memory_bytes of
    those admitted since), summed by the database: a thousand running cost no more than
    ten to read."""
    return rows(OCCUPIED, [database_instant(young_since)])


def preemptible(below: int) -> list[tuple[Any, ...]]:
    """Runs less urgent, as suspended_runs takes them."""
    return rows(PREEMPTIBLE, [below]) if below else []


def suspended(until: datetime) -> list[tuple[Any, ...]]:
    """Runs frozen since `until` or longer that may go on when there is room."""
    return rows(SUSPENDED, [database_instant(until)])


def yields() -> dict[str, dict[str, Any]]:
    """How the runs of each node and environment can yield while they live."""
    return {name: orjson.loads(told) for name, told in rows(YIELDS)}


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
