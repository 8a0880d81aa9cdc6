"""Runs that have waited longer for something than their agent allows: they fail.

Looked at by the leader at each of its chores, and only in classes of runs that require
something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents import requirements
from agents.models import Node
from agents.requirements import MARK, Item
from scheduling import endings, hot_reads, live_runs, surroundings
from scheduling.endings import SEEN, Close, seen_of
from scheduling.models import Run
from scheduling.run_state import RunState
from scheduling.snapshot_reader import class_names

HEAD = f"""
SELECT version_id FROM {Run._meta.db_table}
WHERE state = 'queued' AND queue_class = %s LIMIT 1
"""
AT_ONCE = 500


def fail_overdue(*, now: datetime) -> int:
    """Fail runs whose requirement no node has had for its `within`, counted from when
    they were due. Returns how many."""
    failed = 0
    for name in class_names():
        if MARK in name:
            for (version,) in hot_reads.rows(HEAD, [name]):
                spec = hot_reads.specs([version])[version]
                failed += _fail_of(name, spec, now)
    return failed


def _fail_of(name: str, spec: Mapping[str, Any], now: datetime) -> int:
    items = [i for i in requirements.of(spec) if requirements.within_s(i) is not None]
    failed = 0
    for item in missing_everywhere(items, spec) if items else ():
        limit_s = requirements.within_s(item) or 0.0
        failed += _close(name, item, limit_s, now)
    return failed


def missing_everywhere(items: Sequence[Item], spec: Mapping[str, Any]) -> list[Item]:
    """Those that hold on no node that is up and has the environment."""
    ready = surroundings.ready_agents(set(requirements.agents_of(spec)))
    around = surroundings.facts()
    up = Node.objects.filter(state="up").values_list("name", "environments")
    able = [around[name] for name, offered in up if spec["exec_env"] in offered]
    return [
        item
        for item in items
        if all(surroundings.lacking([item], known, ready) for known in able)
    ]


@transaction.atomic
def _close(name: str, item: Item, limit_s: float, now: datetime) -> int:
    since = now - timedelta(seconds=limit_s)
    waiting = live_runs.queued().filter(queue_class=name, due_at__lte=since)
    rows = waiting.order_by("due_at")[:AT_ONCE].values_list(*SEEN)
    reason = f"waited {limit_s:g} s for {requirements.said([item])}"
    facts = {"ended_at": now}
    closes = [Close(seen_of(r), RunState.FAILED, reason, facts) for r in rows]
    endings.close_many(closes, actor="scheduler", now=now)
    return len(closes)
