"""What the planner is told of runs that hold room: how much, how they could yield, and
which of them are frozen and could go on.

A frozen run holds its memory (less what was measured as reclaimed) and its GPUs, no
CPU and no slot. To go on it has to be admitted again, to the node it is on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from agents.agent_lifecycle_hooks import CHECKPOINT
from scheduling import hot_reads
from scheduling.batch_sql import as_instant
from scheduling.planner.rungs import Rung
from scheduling.planner.snapshot import (
    HeldRun,
    Occupied,
    QueueClass,
    Resources,
    WaitingRun,
)
from scheduling.run_state import RunState

REST_LEAST_S = 2.0  # nothing is thawed sooner: the room it gave is for another
S = RunState


def occupied(holding: Sequence[Sequence[Any]]) -> tuple[Occupied, ...]:
    """What hot_reads.occupied gave, for the planner. Of runs that are being frozen the
    CPU and the slot are on their way, and the memory only where it is to be
    reclaimed."""
    found = list[Occupied]()
    for node, cpu, memory, gpus, slots, going, _ in holding:
        need = Resources(int(cpu), int(memory), int(gpus))
        if going not in ("freeze", "reclaim"):
            found.append(Occupied(node, need, int(slots), yielding=going == "stop"))
            continue
        leaves = Resources(need.cpu_millis)
        if going == "reclaim":
            leaves = Resources(need.cpu_millis, need.memory_bytes)
        found.append(Occupied(node, leaves, int(slots), yielding=True))
        found.append(Occupied(node, need - leaves, 0))
    return tuple(found)


def preemptible(
    below: int, *, now: datetime, standing: Callable[[Sequence[Any]], int]
) -> tuple[HeldRun, ...]:
    """Runs less urgent than that, with the rungs they can yield on. `standing`: the
    priority with which one holds its place."""
    rows = hot_reads.preemptible(below)
    if not rows:
        return ()
    can = hot_reads.yields()
    specs = hot_reads.specs({row[10] for row in rows})
    return tuple(
        _held(row, standing(row), can.get(row[1], {}), specs[row[10]], now)
        for row in rows
    )


def _held(
    row: Any,
    priority: int,
    can: Mapping[str, Any],
    spec: Mapping[str, Any],
    now: datetime,
) -> HeldRun:
    pk, node, _, cpu, memory, gpus, slots, state, wish, env, *_ = row
    started_at = as_instant(row[11])
    return HeldRun(
        pk,
        node,
        priority,
        Resources(cpu, memory, gpus),
        rungs=rungs_of(S(state), wish, can.get(env, {}), spec, tried=bool(row[12])),
        slots=slots,
        ran_s=(now - started_at).total_seconds() if started_at else 0.0,
    )


def rungs_of(
    state: RunState,
    wish: str,
    can: Mapping[str, Any],
    spec: Mapping[str, Any],
    *,
    tried: bool,
) -> frozenset[int]:
    """Only what has begun can be frozen, and memory is reclaimed once: what it gave
    is known then."""
    found = {Rung.STOP}
    if state not in (S.RUNNING, S.SUSPENDED):
        return frozenset(found)
    if can.get("freeze") and wish != "refused":
        found |= {Rung.FREEZE} if state == S.RUNNING else set()
        found |= {Rung.RECLAIM} if can.get("reclaim") and not tried else set()
    if CHECKPOINT in spec["hooks"]:
        found.add(Rung.CHECKPOINT)
    return frozenset(found)


def waiting(now: datetime) -> list[QueueClass]:
    """Frozen runs as the queue sees them: each a class of its own, at its node."""
    until = now - timedelta(seconds=REST_LEAST_S)
    return [_class(row) for row in hot_reads.suspended(until)]


def _class(row: Any) -> QueueClass:
    pk, token, due_at, priority, environment, cpu, reclaimed, node = row
    due = cast(datetime, as_instant(due_at))
    return QueueClass(
        name=f"thaw/{pk}",
        environment=environment,
        need=Resources(cpu, reclaimed, 0),
        priority=priority,
        first=(WaitingRun(pk, token, due, priority, frozen=True),),
        pinned_node=node,
    )
