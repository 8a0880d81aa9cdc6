"""Read the world for one plan: nodes, what they hold, and the head of each class.

Bounded: classes are found by skipping along an index, and of each only the first runs
are read, so a tick costs the same with a thousand waiting as with a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from django.db import connection

from agents.requirements import MARK
from scheduling import hot_reads, surroundings, suspended_runs
from scheduling.batch_sql import as_instant, database_instant
from scheduling.models import Run
from scheduling.planner.snapshot import (
    NodeView,
    QueueClass,
    Resources,
    Snapshot,
    Unmet,
    WaitingRun,
)

MAX_CLASSES = 500  # distinct needs a tick looks at; more than any real fleet has
SKIP_SCAN = """
WITH RECURSIVE classes(name) AS (
    SELECT min(queue_class) FROM {run} WHERE state = 'queued'
    UNION ALL
    SELECT (SELECT min(queue_class) FROM {run}
            WHERE state = 'queued' AND queue_class > classes.name)
    FROM classes WHERE classes.name IS NOT NULL
)
SELECT name FROM classes WHERE name IS NOT NULL LIMIT {most}
"""


def read_snapshot(
    *,
    now: datetime,
    slots: int,
    mode: str,
    preemption: bool,
    memory_fraction: float,
    per_class: int,
) -> Snapshot:
    """`per_class`: how many runs of each class a plan may admit."""
    found = _waiting(now, mode, per_class)
    rests = suspended_runs.waiting(now)
    if not found and not rests:  # nothing to decide: what nodes hold does not matter
        return Snapshot({}, (), (), (), slots, mode)
    waiting = (*(c for c, _ in found), *rests)
    most_urgent = max(c.priority for c in waiting)
    nodes = hot_reads.nodes()
    snapshot = Snapshot(
        nodes={row[0]: _node(row, memory_fraction) for row in nodes},
        occupied=suspended_runs.occupied(),
        preemptible=(
            suspended_runs.preemptible(most_urgent, now=now) if preemption else ()
        ),
        waiting=waiting,
        slots=slots,
        mode=mode,
    )
    needy = {c.name: version for c, version in found if MARK in c.name}
    if needy or any(c.need.gpus for c in waiting):
        snapshot = surroundings.seen_by(snapshot, needy)
    held = {row[0]: row[-1] for row in nodes if row[-1].get("held")}
    return _holding(snapshot, held) if held else snapshot


def _holding(snapshot: Snapshot, held: Mapping[str, Any]) -> Snapshot:
    """Nodes that run short take none of the least important, see balancing."""

    def waits(c: QueueClass) -> QueueClass:
        no = {
            name: Unmet("held", told["held"])
            for name, told in held.items()
            if c.priority <= told["touches"]
        }
        return replace(c, unmet={**c.unmet, **no}) if no else c

    return replace(snapshot, waiting=tuple(map(waits, snapshot.waiting)))


def _node(row: Sequence[Any], memory_fraction: float) -> NodeView:
    name, pk, cpu_millis, memory_bytes, gpus, environments, is_open, is_up, _ = row
    return NodeView(
        name=name,
        capacity=Resources(cpu_millis, int(memory_bytes * memory_fraction), gpus),
        environments=frozenset(environments),
        id=pk,
        open=is_open,
        up=is_up,
    )


def _waiting(now: datetime, mode: str, per_class: int) -> list[tuple[QueueClass, int]]:
    """Each class with the version of its first run."""
    found = []
    for name in class_names():
        if rows := _first_of(name, now, mode, per_class):
            found.append((_class(name, rows), rows[0][-1]))
    return found


def class_names() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(SKIP_SCAN.format(run=Run._meta.db_table, most=MAX_CLASSES))
        return [row[0] for row in cursor.fetchall()]


def _first_of(
    name: str, now: datetime, mode: str, per_class: int
) -> Sequence[tuple[Any, ...]]:
    newest = " DESC" if mode == "lifo" else ""
    run = Run._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.token, r.due_at, r.priority, r.exec_env, r.cpu_millis, "
            "r.memory_bytes, r.gpus, coalesce(n.name, ''), r.reason_code, r.version_id "
            f"FROM {run} r LEFT JOIN agents_node n ON n.id = r.pinned_node_id "
            "WHERE r.state = 'queued' AND r.queue_class = %s AND r.due_at <= %s "
            f"ORDER BY r.due_at{newest}, r.id{newest} LIMIT %s",
            [name, database_instant(now), per_class],
        )
        return list(cursor.fetchall())


def _class(name: str, rows: Sequence[tuple[Any, ...]]) -> QueueClass:
    head = rows[0]
    first = tuple(
        WaitingRun(r[0], r[1], cast(datetime, as_instant(r[2])), r[3], r[9])
        for r in rows
    )
    return QueueClass(
        name=name,
        environment=head[4],
        need=Resources(*head[5:8]),
        priority=head[3],
        first=first,
        pinned_node=head[8],
    )
