"""How a node's use went: a row a minute for a day, one for ten minutes for a week.

The node itself keeps it, at a heartbeat of each minute; what is older than it is asked
for goes at the same time, so a node has at most about 2 500 rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, Sum

from agents.errors import NotFound
from agents.models import Node
from scheduling import live_runs
from scheduling.models import NodeSample

FINE_S, COARSE_S = 60, 600
FINE_KEPT, COARSE_KEPT = timedelta(hours=25), timedelta(days=7, hours=1)
Numbers = Mapping[str, float]
MEASURED = (
    *("cpu_fraction", "memory_fraction", "battery_fraction"),
    *("net_sent_bytes_per_s", "net_received_bytes_per_s"),
)
HELD = ("held_cpu_fraction", "held_memory_fraction", "runs")
LINES = (*MEASURED, "gpu_fraction", *HELD)


@dataclass(frozen=True, slots=True)
class Range:
    length_s: int
    step_s: int  # of the answer


RANGES = {
    "1h": Range(3600, FINE_S),
    "24h": Range(86_400, 300),
    "7d": Range(7 * 86_400, 1800),
}


@dataclass(slots=True)
class Keeper:
    """One node's samples of the minute under way; kept once that is over."""

    minute: datetime | None = None
    seen: list[Numbers] = field(default_factory=list)

    def take(self, name: str, usage: Mapping[str, Any], *, now: datetime) -> None:
        """Told of each sample; writes at the first one of another minute."""
        minute = floor(now, FINE_S)
        if self.minute is not None and minute != self.minute:
            keep(name, self.minute, mean(self.seen), now=now)
            self.seen = []
        self.minute = minute
        self.seen.append(numbers(usage))


def numbers(usage: Mapping[str, Any]) -> dict[str, float]:
    """What is drawn of a sample; the busiest GPU stands for all."""
    found = {name: usage[name] for name in MEASURED if usage.get(name) is not None}
    busy = [gpu["busy_fraction"] for gpu in usage.get("gpus", ()) if _is_busy(gpu)]
    return {**found, "gpu_fraction": max(busy)} if busy else found


def _is_busy(gpu: Mapping[str, Any]) -> bool:
    return gpu.get("busy_fraction") is not None


def mean(seen: Iterable[Numbers]) -> dict[str, float]:
    """Of each number over those that have it."""
    values: dict[str, list[float]] = defaultdict(list)
    for one in seen:
        for name, value in one.items():
            values[name].append(value)
    return {name: round(sum(all_) / len(all_), 4) for name, all_ in values.items()}


def floor(at: datetime, step_s: int) -> datetime:
    return datetime.fromtimestamp(at.timestamp() // step_s * step_s, UTC)


@transaction.atomic
def keep(name: str, minute: datetime, seen: Numbers, *, now: datetime) -> None:
    """Write a minute, with what runs hold now; every ten minutes, tidy."""
    node = Node.objects.filter(name=name).first()
    if node is None:
        return
    _put(node, FINE_S, {minute: {**seen, **_held(node)}})
    if floor(now, COARSE_S) != floor(minute, COARSE_S):
        _fold(node, now)
        _forget(node, now)


def _held(node: Node) -> dict[str, float]:
    there = live_runs.began().filter(node=node).order_by()
    rests = Q(suspended_at__isnull=False) & ~Q(wish="thaw")
    sums = there.aggregate(
        cpu=Sum("cpu_millis", filter=~rests), memory=Sum("memory_bytes"), n=Count("id")
    )
    return {
        "held_cpu_fraction": _share(sums["cpu"], node.cpu_millis),
        "held_memory_fraction": _share(sums["memory"], node.memory_bytes),
        "runs": sums["n"],
    }


def _share(part: int | None, whole: int) -> float:
    return round((part or 0) / whole, 4) if whole else 0.0


def _put(node: Node, step_s: int, spans: Mapping[datetime, Numbers]) -> None:
    rows = [
        NodeSample(node=node, at=at, step_s=step_s, seen=dict(seen))
        for at, seen in spans.items()
    ]
    NodeSample.objects.bulk_create(rows, ignore_conflicts=True)


def _fold(node: Node, now: datetime) -> None:
    """Ten minutes that are over and not folded yet become one row each."""
    last = NodeSample.objects.filter(node=node, step_s=COARSE_S).order_by("-at").first()
    since = last.at + timedelta(seconds=COARSE_S) if last else now - FINE_KEPT
    fine = _rows(node, FINE_S, since, floor(now, COARSE_S))
    _put(node, COARSE_S, _means(fine, COARSE_S))


def _forget(node: Node, now: datetime) -> None:
    for step_s, kept in ((FINE_S, FINE_KEPT), (COARSE_S, COARSE_KEPT)):
        old = NodeSample.objects.filter(node=node, step_s=step_s, at__lt=now - kept)
        old.delete()


Row = tuple[datetime, Numbers]


def _rows(node: Node, step_s: int, start: datetime, end: datetime) -> list[Row]:
    found = NodeSample.objects.filter(node=node, step_s=step_s)
    within = found.filter(at__gte=start, at__lt=end).order_by("at")
    return list(within.values_list("at", "seen"))


def _means(rows: Sequence[Row], step_s: int) -> dict[datetime, Numbers]:
    spans: dict[datetime, list[Numbers]] = defaultdict(list)
    for at, seen in rows:
        spans[floor(at, step_s)].append(seen)
    return {at: mean(seen) for at, seen in spans.items()}


def read(name: str, wanted: Range, now: datetime) -> dict[str, Any]:
    """{times, <line>: [number or null]}: one value for each step. Raises NotFound."""
    node = Node.objects.filter(name=name).first()
    if node is None:
        raise NotFound(f"no node {name[:64]!r}")
    end = floor(now, wanted.step_s) + timedelta(seconds=wanted.step_s)
    start = end - timedelta(seconds=wanted.length_s)
    rows = _rows(node, FINE_S, max(start, now - FINE_KEPT), end)
    if wanted.length_s > FINE_KEPT.total_seconds():
        first = rows[0][0] if rows else end
        rows = [*_rows(node, COARSE_S, start, first), *rows]
    spans = _means(rows, wanted.step_s)
    steps = wanted.length_s // wanted.step_s
    moments = [start + timedelta(seconds=wanted.step_s * n) for n in range(steps)]
    lines = {
        line: [spans.get(at, {}).get(line) for at in moments]
        for line in LINES
        if any(line in seen for seen in spans.values())
    }
    times = [at.timestamp() for at in moments]
    return {"node": name, "step_s": wanted.step_s, "times": times, "lines": lines}
