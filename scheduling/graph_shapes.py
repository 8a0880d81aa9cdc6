"""Graphs and their runs as the API shows them, with the longest way and the end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agents.http import iso
from scheduling import books, graphs
from scheduling.graph_input import graph_of
from scheduling.graph_runs import seconds_of
from scheduling.models import Graph, GraphNode, GraphRun, Run
from scheduling.planner import dependencies
from scheduling.planner.dependencies import OVER, STARTED
from scheduling.run_state import RunState

WAITS = (RunState.QUEUED, RunState.ADMITTED, RunState.STARTING)


def graph(row: Graph, now: datetime) -> dict[str, Any]:
    seconds, planned = seconds_of(row.spec, now), graph_of(row.spec)
    path = dependencies.critical_path(planned, seconds)
    return {
        **graphs.as_written(row),
        "version": row.version,
        "order": dependencies.in_order(planned),
        "critical_path": [{"node": n, "seconds": seconds[n]} for n in path],
        "expected_s": sum(seconds[n] for n in path),
        "created_at": iso(row.created_at),
        "created_by": row.created_by,
        "changed_at": iso(row.changed_at),
        "changed_by": row.changed_by,
    }


def summary(row: GraphRun, counts: Mapping[str, int]) -> dict[str, Any]:
    """One line of a list; `counts`: nodes by state."""
    return {
        "uid": row.uid,
        "graph": row.name,
        "version": row.version,
        "state": row.state,
        "reason": row.reason,
        "attempt": row.attempt,
        "params": row.params,
        "schedule": row.schedule.uid if row.schedule else None,
        "occurrence": occurrence_of(row),
        "started_by": row.started_by,
        "started_at": iso(row.started_at),
        "ended_at": iso(row.ended_at),
        "cancelled_at": iso(row.cancelled_at),
        "counts": {state: counts.get(state, 0) for state in dependencies.STATES},
    }


def occurrence_of(row: GraphRun) -> str | None:
    """The instant it was started for, by its id."""
    if row.schedule is None or row.occurrence is None:
        return None
    return books.occurrence_id(row.schedule, row.occurrence.key)


def counts_of(rows: list[GraphRun]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    states = GraphNode.objects.filter(graph_run__in=rows)
    for pk, state in states.values_list("graph_run_id", "state"):
        of_one = found.setdefault(pk, {})
        of_one[state] = of_one.get(state, 0) + 1
    return found


def graph_run(row: GraphRun, now: datetime) -> dict[str, Any]:
    """All of it: every node with its run and times, the longest way, the end."""
    nodes = {n.name: n for n in row.nodes.select_related("run__node").order_by("id")}
    planned, expected = graph_of(row.spec), seconds_of(row.spec, now)
    took = {name: _seconds(node, expected[name], now) for name, node in nodes.items()}
    path = dependencies.critical_path(planned, took)
    left = {name: _left(node, expected[name], now) for name, node in nodes.items()}
    counts = counts_of([row]).get(row.pk, {})
    return {
        **summary(row, counts),
        "nodes": [
            _node(nodes[spec["name"]], spec, expected, path)
            for spec in row.spec["nodes"]
        ],
        "critical_path": [
            {"node": n, "seconds": round(took[n], 3), "over": nodes[n].state in OVER}
            for n in path
        ],
        "expected_end": iso(_expected_end(row, planned, left, now)),
        "concurrency": row.spec["concurrency"],
        "on_failure": row.spec["on_failure"],
    }


def _expected_end(
    row: GraphRun,
    planned: dependencies.Graph,
    left: Mapping[str, float],
    now: datetime,
) -> datetime | None:
    """When the longest way through what is left has been gone; None when it is over."""
    if row.state != "running":
        return None
    longest = max(dependencies.lengths(planned, left).values())
    return now + timedelta(seconds=longest)


def _seconds(node: GraphNode, expected: float, now: datetime) -> float:
    """What the node took, or will probably take; a skipped one takes nothing."""
    run = node.run
    if node.state == "skipped" or (node.state in OVER and run is None):
        return 0.0
    if run is None or node.state not in OVER:
        return max(expected, _ran_for(run, now))
    return _ran_for(run, now)


def _ran_for(run: Run | None, now: datetime) -> float:
    if run is None or run.started_at is None:
        return 0.0
    return max(0.0, ((run.ended_at or now) - run.started_at).total_seconds())


def _left(node: GraphNode, expected: float, now: datetime) -> float:
    if node.state in OVER:
        return 0.0
    return max(0.0, expected - _ran_for(node.run, now))


def _node(
    node: GraphNode,
    spec: Mapping[str, Any],
    expected: Mapping[str, float],
    path: list[str],
) -> dict[str, Any]:
    shown = node.run if node.state in (STARTED, "succeeded", "failed") else None
    return {
        **spec,
        "state": _state(node),
        "reason": node.reason or (shown.reason if shown else ""),
        "run": shown.uid if shown else None,
        "attempt": shown.attempt if shown else None,
        "node": shown.node.name if shown and shown.node else None,
        "queued_at": iso(shown.queued_at) if shown else None,
        "started_at": iso(shown.started_at) if shown else None,
        "ended_at": iso(node.ended_at),
        "expected_s": expected[node.name],
        "on_critical_path": node.name in path,
    }


def _state(node: GraphNode) -> str:
    """waiting, queued, running, succeeded, failed or skipped."""
    if node.state != STARTED:
        return node.state
    return "queued" if node.run is None or node.run.state in WAITS else "running"
