"""How long one plan takes: 10 000 waiting runs of 100 classes on 100 nodes.

python -m bench.planning
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

from scheduling.planner.admission import plan
from scheduling.planner.snapshot import (
    NodeView,
    Occupied,
    QueueClass,
    Resources,
    Snapshot,
    WaitingRun,
)
from scheduling.task_queue import Ageing

NODES, CLASSES, RUNS_EACH, TIMES = 100, 100, 100, 7
BUDGET_MS = 100.0
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def snapshot(free_slots: int) -> Snapshot:
    nodes = {
        f"n{n}": NodeView(
            f"n{n}", Resources(8000, 32 * 10**9), frozenset({"docker"}), id=n
        )
        for n in range(NODES)
    }
    classes = [
        QueueClass(
            f"c{c}",
            "docker",
            Resources(100 + 10 * (c % 30), 10**8),
            c % 5,
            tuple(
                WaitingRun(
                    c * 1000 + r, 0, NOON - timedelta(seconds=RUNS_EACH - r), c % 5
                )
                for r in range(RUNS_EACH)
            ),
        )
        for c in range(CLASSES)
    ]
    held = tuple(Occupied(name, Resources(7900, 10**9), 1) for name in nodes)
    slots = NODES + free_slots
    return Snapshot(
        nodes, held, (), tuple(classes), slots, now=NOON, ageing=Ageing(600, 7200)
    )


def took_ms(free_slots: int) -> float:
    shown, times = snapshot(free_slots), []
    for _ in range(TIMES):
        begin = perf_counter()
        plan(shown)
        times.append((perf_counter() - begin) * 1000)
    return median(times)


def main() -> None:
    waiting = CLASSES * RUNS_EACH
    for name, free in (("no slot free", 0), ("room for some", 128)):
        ms = took_ms(free)
        verdict = "within" if ms <= BUDGET_MS else "over"
        print(
            f"plan, {waiting} waiting, {NODES} nodes, {name}: {ms:.1f} ms "
            f"({verdict} the budget of {BUDGET_MS:.0f} ms)"
        )


if __name__ == "__main__":
    main()
