"""Prometheus metrics, read from the rows when somebody scrapes.

Several processes counting by themselves would disagree, and all would forget on a
restart; the rows do neither. What stands (runs by state, the queue, nodes) is one
aggregate statement each. What only grows (histograms, crashes) is counted run by
run, each once, when it has ended: monitor/run_totals.py remembers where it was, so
a scrape costs by what is live and what is new, not by the history.

METRICS is the one list of names. A name never changes its meaning.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now as clock  # noqa: TID251 - scraping is an entry
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from agents.models import Event, Node, Seal
from agents.priority import Priority
from monitor import hub
from monitor.run_totals import RunTotals
from scheduling import lease, live_runs
from scheduling.deadline_models import MissedDeadlines
from scheduling.models import Delivery, Gap, Occurrence, Run, Schedule
from scheduling.run_state import FINAL, RunState
from scheduling.sensor_models import Sensor

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
METRICS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    # runs
    "kos_runs": (GAUGE, "Runs that are not over, by state.", ("state",)),
    "kos_runs_ended": (COUNTER, "Runs that ended, by how.", ("state",)),
    "kos_queue_depth": (GAUGE, "Runs that wait and are due.", ("priority",)),
    "kos_queue_oldest_seconds": (GAUGE, "How long the oldest due run waits.", ()),
    "kos_run_start_delay_seconds": (
        HISTOGRAM,
        "From when a run was due to its program's start.",
        (),
    ),
    "kos_run_request_to_start_seconds": (
        HISTOGRAM,
        "From the request of a run due at once to its program's start.",
        (),
    ),
    "kos_run_duration_seconds": (
        HISTOGRAM,
        "From a program's start to its end.",
        ("exec_env",),
    ),
    "kos_preemptions": (COUNTER, "Ended runs that made room, by how.", ("rung",)),
    "kos_run_cpu_seconds": (COUNTER, "CPU time that ended runs used.", ()),
    "kos_agent_crashes": (COUNTER, "Runs that failed or were lost.", ("agent",)),
    "kos_deadlines_at_risk": (GAUGE, "Live runs that may miss a deadline.", ()),
    "kos_deadlines_missed": (COUNTER, "Deadlines that runs missed.", ("agent",)),
    "kos_agent_restarts": (COUNTER, "Runs after a first attempt.", ("agent",)),
    # schedules and what became of their instants
    "kos_schedules": (GAUGE, "Schedules, by state.", ("state",)),
    "kos_occurrences_missed": (GAUGE, "Instants on record as missed.", ()),
    "kos_deliveries": (GAUGE, "Results on their way to a sink.", ("sink", "state")),
    # sensors
    "kos_sensor_messages": (COUNTER, "Values that came to sensors.", ()),
    "kos_mqtt_rejected": (COUNTER, "Messages of the broker that were no values.", ()),
    # nodes
    "kos_node_up": (GAUGE, "1 while the node's heartbeats come.", ("node",)),
    "kos_node_cordoned": (GAUGE, "1 while the node takes no more runs.", ("node",)),
    "kos_node_capacity_cores": (GAUGE, "Cores agents may use.", ("node",)),
    "kos_node_capacity_bytes": (GAUGE, "Memory agents may use.", ("node",)),
    "kos_node_capacity_gpus": (GAUGE, "GPUs agents may use.", ("node",)),
    "kos_node_reserved_cores": (GAUGE, "Cores given to runs.", ("node",)),
    "kos_node_reserved_bytes": (GAUGE, "Memory given to runs.", ("node",)),
    "kos_node_reserved_gpus": (GAUGE, "GPUs given to runs.", ("node",)),
    "kos_node_runs": (GAUGE, "Runs that hold room on the node.", ("node",)),
    "kos_node_cpu_ratio": (GAUGE, "Share of CPU in use, all told.", ("node",)),
    "kos_node_memory_used_bytes": (GAUGE, "Memory in use, all told.", ("node",)),
    # the product itself
    "kos_leader": (GAUGE, "1 for the scheduler that leads.", ("holder",)),
    "kos_events": (COUNTER, "Events sealed into the journal.", ()),
    "kos_events_unsealed": (GAUGE, "Events not sealed yet.", ()),
    "kos_live_sockets": (GAUGE, "Live sockets of this process.", ()),
    "kos_live_frames": (COUNTER, "Frames this process took from Redis.", ()),
    "kos_live_resyncs": (COUNTER, "Times clients had to fetch afresh.", ()),
    "kos_scrape_seconds": (GAUGE, "What this scrape took.", ()),
}
FAMILIES = {
    GAUGE: GaugeMetricFamily,
    COUNTER: CounterMetricFamily,
    HISTOGRAM: HistogramMetricFamily,
}
# the name here -> the column of Node, and what one of it counts in base units
CAPACITY = (
    ("cores", "cpu_millis", 1000),
    ("bytes", "memory_bytes", 1),
    ("gpus", "gpus", 1),
)


def family(name: str) -> Any:
    kind, text, labels = METRICS[name]
    return FAMILIES[kind](name, text, labels=labels)


def single(name: str, value: float) -> Any:
    """A metric without labels."""
    metric = family(name)
    metric.add_metric([], value)
    return metric


class KosCollector(Collector):
    """All of METRICS, from one instant."""

    def __init__(self) -> None:
        self._totals = RunTotals()

    def collect(self) -> Iterator[Metric]:
        began, now = time.perf_counter(), clock()
        yield from runs(now)
        yield from self._totals.collect(family)
        yield from deadlines()
        yield from schedules()
        yield from sensors()
        yield from nodes()
        yield from product()
        yield single("kos_scrape_seconds", time.perf_counter() - began)

    def describe(self) -> list[Metric]:
        return []  # registering must not read the database


def sensors() -> Iterator[Metric]:
    """Of those there are: what a deleted one had counted is gone with it."""
    came = Sensor.objects.aggregate(received=Sum("received"), rejected=Sum("rejected"))
    yield single("kos_sensor_messages", came["received"] or 0)
    yield single("kos_mqtt_rejected", came["rejected"] or 0)


def runs(now: datetime) -> Iterator[Metric]:
    live = live_runs.began().order_by().values_list("state")
    count = dict(live.annotate(Count("id")))
    count[RunState.QUEUED] = live_runs.queued().count()
    states = family("kos_runs")
    for state in RunState:
        if state not in FINAL:
            states.add_metric([state], count.get(state, 0))
    yield states
    due = live_runs.queued().filter(due_at__lte=now)
    waiting = {
        priority: (n, oldest)
        for priority, n, oldest in due.order_by()
        .values_list("priority")
        .annotate(Count("id"), Min("due_at"))
    }
    depth = family("kos_queue_depth")
    for level in Priority:
        depth.add_metric([level.word], waiting.get(level, (0, None))[0])
    yield depth
    oldest = min((at for _, at in waiting.values()), default=now)
    yield single("kos_queue_oldest_seconds", (now - oldest).total_seconds())


def deadlines() -> Iterator[Metric]:
    watched = Run.objects.filter(deadline_at__isnull=False, deadline__has_key="risk")
    live = watched.exclude(state__in=sorted(FINAL))
    yield single("kos_deadlines_at_risk", live.count())
    missed = family("kos_deadlines_missed")
    counted = MissedDeadlines.objects.order_by("agent_id")
    for agent, count in counted.values_list("agent__agent_id", "count"):
        missed.add_metric([agent], count)
    yield missed


def schedules() -> Iterator[Metric]:
    count = Schedule.objects.aggregate(
        active=Count("id", Q(ended_at=None, enabled=True, paused_at=None)),
        paused=Count("id", Q(ended_at=None, enabled=True, paused_at__isnull=False)),
        disabled=Count("id", Q(ended_at=None, enabled=False)),
        ended=Count("id", Q(ended_at__isnull=False)),
    )
    states = family("kos_schedules")
    for state, n in count.items():
        states.add_metric([state], n)
    yield states
    missed = Occurrence.objects.filter(state="missed").count()
    gaps = Gap.objects.filter(outcome="missed").aggregate(Sum("count"))["count__sum"]
    yield single("kos_occurrences_missed", missed + (gaps or 0))
    deliveries = family("kos_deliveries")
    by = Delivery.objects.order_by().values_list("sink", "state")
    for sink, state, n in by.annotate(Count("id")):
        deliveries.add_metric([sink, state], n)
    yield deliveries


def nodes() -> Iterator[Metric]:
    holding = live_runs.began().filter(node__isnull=False)
    held: dict[int, dict[str, Any]] = {
        row["node_id"]: dict(row)
        for row in holding.order_by()
        .values("node_id")
        .annotate(
            runs=Count("id"),
            cpu_millis=Sum("cpu_millis"),
            memory_bytes=Sum("memory_bytes"),
            gpus=Sum("gpus"),
        )
    }
    names = [name for name in METRICS if name.startswith("kos_node_")]
    metrics = {name: family(name) for name in names}
    for node in Node.objects.all():
        for name, value in node_values(node, held.get(node.pk, {})).items():
            metrics[f"kos_node_{name}"].add_metric([node.name], value)
    yield from metrics.values()


def node_values(node: Node, held: Mapping[str, Any]) -> dict[str, float]:
    """What is known of a node; what its sampler has not seen is left out."""
    values: dict[str, float] = {
        "up": node.state == "up",
        "cordoned": node.cordoned,
        "runs": held.get("runs", 0),
    }
    for name, column, per_unit in CAPACITY:
        values[f"capacity_{name}"] = getattr(node, column) / per_unit
        values[f"reserved_{name}"] = held.get(column, 0) / per_unit
    seen = {"cpu_ratio": "cpu_fraction", "memory_used_bytes": "memory_used_bytes"}
    for name, key in seen.items():
        if key in node.usage:
            values[name] = node.usage[key]
    return values


def product() -> Iterator[Metric]:
    leader = family("kos_leader")
    if holder := lease.leader()[0]:
        leader.add_metric([holder], 1)
    yield leader
    sealed = Seal.objects.aggregate(Max("last_seq"))["last_seq__max"]
    yield single("kos_events", sealed or 0)
    yield single("kos_events_unsealed", Event.objects.filter(seq=None).count())
    yield single("kos_live_sockets", hub.sockets())
    yield single("kos_live_frames", hub.counts["frames"])
    yield single("kos_live_resyncs", hub.counts["resyncs"])


registry = CollectorRegistry()
registry.register(KosCollector())


@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """GET /metrics. Who may read it stands in the table of roles."""
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
