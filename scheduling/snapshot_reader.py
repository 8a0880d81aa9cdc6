"""Read the world for one plan: nodes, what they hold, and the head of each class.

Bounded: classes are found by skipping along an index, and of each only the first runs
are read, so a tick costs the same with a thousand waiting as with a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.db import connection

from agents.requirements import MARK
from scheduling import hot_reads, surroundings, window_bars
from scheduling.batch_sql import as_instant, database_instant
from scheduling.models import Run
from scheduling.planner.snapshot import (
    HeldRun,
    NodeView,
    Occupied,
    QueueClass,
    Resources,
    Snapshot,
    WaitingRun,
)
from scheduling.window_bars import Bar

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
    bars = window_bars.bars(now)
    found = _waiting(now, mode, per_class, bars)
    held = _held_back(now, mode, bars)
    if not found and not held:  # nothing to decide: what nodes hold does not matter
        return Snapshot({}, (), (), (), slots, mode)
    waiting = tuple(c for c, _ in found)
    most_urgent = max((c.priority for c in waiting), default=0)
    snapshot = Snapshot(
        nodes={row[0]: _node(row, memory_fraction) for row in hot_reads.nodes()},
        occupied=tuple(
            Occupied(r[0], Resources(*r[1:4]), r[4], yielding=bool(r[5]))
            for r in hot_reads.occupied()
        ),
        preemptible=tuple(
            HeldRun(r[0], r[1], r[2], Resources(*r[3:]))
            for r in (hot_reads.preemptible(most_urgent) if preemption else ())
        ),
        waiting=waiting,
        slots=slots,
        mode=mode,
    )
    needy = {c.name: version for c, version in found if MARK in c.name}
    if needy or any(c.need.gpus for c in waiting):
        snapshot = surroundings.seen_by(snapshot, needy)
    if held or window_bars.kept():
        return window_bars.on(snapshot, held, now)
    return snapshot


def _node(row: Sequence[Any], memory_fraction: float) -> NodeView:
    name, pk, cpu_millis, memory_bytes, gpus, environments, is_open = row
    return NodeView(
        name=name,
        capacity=Resources(cpu_millis, int(memory_bytes * memory_fraction), gpus),
        environments=frozenset(environments),
        id=pk,
        open=is_open,
    )


def _waiting(
    now: datetime, mode: str, per_class: int, bars: Sequence[Bar]
) -> list[tuple[QueueClass, int]]:
    """Each class with the version of its first run."""
    found = []
    free = "".join(f" AND NOT {bar.sql('r')}" for bar in bars)
    for name in class_names():
        if rows := _first_of(name, now, mode, per_class, free):
            found.append((_class(name, rows), rows[0][-1]))
    return found


def _held_back(
    now: datetime, mode: str, bars: Sequence[Bar]
) -> list[tuple[QueueClass, Bar]]:
    """The first run of each class that a window holds back, to tell it why."""
    found = []
    for number, bar in enumerate(bars):
        others = "".join(f" AND NOT {one.sql('r')}" for one in bars[:number])
        for name in class_names():
            if rows := _first_of(name, now, mode, 1, f" AND {bar.sql('r')}{others}"):
                found.append((_class(f"{name} {bar.code}", rows), bar))
    return found


def class_names() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(SKIP_SCAN.format(run=Run._meta.db_table, most=MAX_CLASSES))
        return [row[0] for row in cursor.fetchall()]


def _first_of(
    name: str, now: datetime, mode: str, per_class: int, only: str = ""
) -> Sequence[tuple[Any, ...]]:
    newest = " DESC" if mode == "lifo" else ""
    run = Run._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.token, r.due_at, r.priority, r.exec_env, r.cpu_millis, "
            "r.memory_bytes, r.gpus, coalesce(n.name, ''), r.reason_code, r.version_id "
            f"FROM {run} r LEFT JOIN agents_node n ON n.id = r.pinned_node_id "
            f"WHERE r.state = 'queued' AND r.queue_class = %s AND r.due_at <= %s{only} "
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
