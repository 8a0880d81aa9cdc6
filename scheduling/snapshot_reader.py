"""Read the world for one plan: nodes, what they hold, and the head of each class.

Bounded: classes are found by skipping along an index, and of each only the first runs
are read, so a tick costs the same with a thousand waiting as with a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.db import connection

from agents.requirements import MARK
from scheduling import (
    gangs,
    hot_reads,
    limiting,
    lines,
    measured,
    surroundings,
    suspended_runs,
    window_bars,
)
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
from scheduling.queue_marks import RANKED
from scheduling.task_queue import NO_AGEING, Ageing, earned
from scheduling.window_bars import Bar

KEEPS_PLACE_S = 600.0  # after its admission a run keeps what its wait has earned it
CAME = "coalesce(r.line_at, r.due_at)"  # since when it stands in line; of the index
MAX_CLASSES = 2000  # distinct needs and groups a tick looks at
PATH, GANG = 10, 11  # columns among those of a waiting run
SKIP_SCAN = """
WITH RECURSIVE classes(name) AS (
    SELECT min(queue_class) FROM {run}
    WHERE state = 'queued' AND queue_class < '{held}'
    UNION ALL
    SELECT (SELECT min(queue_class) FROM {run}
            WHERE state = 'queued' AND queue_class > classes.name
            AND queue_class < '{held}')
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
    ageing: Ageing = NO_AGEING,
    strategy: str = "spread",
    idle_too: bool = False,
) -> Snapshot:
    """`per_class`: how many runs of each class a plan may admit. `idle_too`: nodes and
    what they hold are told even where nothing waits."""
    bars = window_bars.bars(now)
    found = _waiting(now, mode, per_class, bars)
    barred = _held_back(now, mode, bars)
    rests = suspended_runs.waiting(now)
    if not (found or rests or barred or idle_too):  # nothing to decide
        return Snapshot({}, (), (), (), slots, mode, now=now, ageing=ageing)
    waiting = (*(c for c, _ in found), *rests)
    most_urgent = max((c.priority for c in waiting), default=0)
    holding = hot_reads.occupied(now - measured.GROWN_AFTER)
    young, nodes = measured.young_of(holding), hot_reads.nodes()
    standing = partial(_standing, mode=mode, now=now, ageing=ageing)
    snapshot = Snapshot(
        nodes={
            row[0]: _node(row, memory_fraction, young.get(row[0], 0), now)
            for row in nodes
        },
        occupied=suspended_runs.occupied(holding),
        preemptible=(
            suspended_runs.preemptible(most_urgent, now=now, standing=standing)
            if preemption
            else ()
        ),
        waiting=waiting,
        slots=slots,
        mode=mode,
        now=now,
        ageing=ageing,
        strategy=strategy,
    )
    held = {row[0]: row[-1] for row in nodes if row[-1].get("held")}
    snapshot = _looked_around(snapshot, found, now)
    snapshot = _holding(snapshot, held) if held else snapshot
    if barred or window_bars.kept():
        return window_bars.on(snapshot, barred, now)
    return snapshot


def _looked_around(
    snapshot: Snapshot, found: Sequence[tuple[QueueClass, int]], now: datetime
) -> Snapshot:
    """With what only some classes ask for: groups, requirements, devices."""
    if marked := {c.name: v for c, v in found if limiting.is_marked(c.name)}:
        snapshot = limiting.seen_by(snapshot, marked, now)
    needy = {c.name: version for c, version in found if MARK in c.name}
    if needy or any(c.need.gpus for c in snapshot.waiting):
        snapshot = surroundings.seen_by(snapshot, needy)
    return snapshot


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


def _standing(row: Sequence[Any], mode: str, now: datetime, ageing: Ageing) -> int:
    """The priority a run holds its place with: at first the one its wait has earned,
    or whom it went before would have it stop at once. `row`: of hot_reads.preemptible.
    """
    own, admitted_at, came_at = row[2], as_instant(row[-2]), as_instant(row[-1])
    if mode != "priority" or ageing == NO_AGEING or not admitted_at or not came_at:
        return int(own)
    if (now - admitted_at).total_seconds() > KEEPS_PLACE_S:
        return int(own)
    waited_s = (admitted_at - came_at).total_seconds()
    return earned(int(own), waited_s, ageing)


def _node(
    row: Sequence[Any], memory_fraction: float, young: int, now: datetime
) -> NodeView:
    name, pk, cpu_millis, memory_bytes, gpus, environments, is_open, is_up = row[:8]
    taints, usage = row[8:10]
    return NodeView(
        name=name,
        capacity=Resources(cpu_millis, int(memory_bytes * memory_fraction), gpus),
        environments=frozenset(environments),
        id=pk,
        open=is_open,
        taints=tuple(taints),
        measured=measured.of(usage, memory_fraction, young, now) if usage else None,
        up=is_up,
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
        cursor.execute(
            SKIP_SCAN.format(run=Run._meta.db_table, most=MAX_CLASSES, held=lines.HELD)
        )
        return [row[0] for row in cursor.fetchall()]


def _first_of(
    name: str, now: datetime, mode: str, per_class: int, only: str = ""
) -> Sequence[tuple[Any, ...]]:
    newest = " DESC" if mode == "lifo" else ""
    ranked = mode == "dependency" and RANKED in name
    among, first = (" AND r.path_s > 0", "r.path_s DESC, ") if ranked else ("", "")
    run = Run._meta.db_table
    size = gangs.size_of(name)  # the first gang must be there as a whole
    together = f"r.gang{newest}, " if size else ""
    most = max(per_class, size)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.id, r.token, {CAME}, r.priority, r.exec_env, r.cpu_millis, "
            "r.memory_bytes, r.gpus, coalesce(n.name, ''), r.reason_code, r.path_s, "
            "r.gang, r.version_id "
            f"FROM {run} r LEFT JOIN agents_node n ON n.id = r.pinned_node_id "
            f"WHERE r.state = 'queued' AND r.queue_class = %s AND r.due_at <= %s{only} "
            f"AND {CAME} <= %s{among} "
            f"ORDER BY {first}{CAME}{newest}, {together}r.id{newest} LIMIT %s",
            [name, database_instant(now), database_instant(now), most],
        )
        rows = list(cursor.fetchall())
    return gangs.whole(rows, GANG, most) if size else rows


def _class(name: str, rows: Sequence[tuple[Any, ...]]) -> QueueClass:
    head, front = rows[0], lines.is_front(name)
    first = tuple(
        WaitingRun(
            id=r[0],
            token=r[1],
            due_at=cast(datetime, as_instant(r[2])),
            priority=r[3],
            told=r[9],
            path_s=r[PATH],
            front=front,
            gang=r[GANG],
        )
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
