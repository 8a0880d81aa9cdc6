"""Reads for lists, dashboards and people: how an agent is, and what a run shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Min, OuterRef, Subquery

from agents.http import iso
from agents.models import Agent
from agents.priority import Priority
from scheduling import crash_loops, deadline_views, gangs, hot_reads, lines, live_runs
from scheduling.models import Run, Schedule
from scheduling.run_state import HAS_PROGRAM, RunState
from scheduling.runs import GRAPH_KEY

S = RunState
FAILURES = frozenset({S.FAILED, S.TIMED_OUT, S.LOST})


@dataclass(frozen=True, slots=True)
class Newest:
    """What the status table looks at: the agent's newest run and its live states."""

    enabled: bool
    newest: RunState | None  # None: it never ran
    attempt: int = 1
    live: frozenset[RunState] = frozenset()


def status_of(seen: Newest) -> str:
    """The one table of agent status; the first line that matches wins."""
    if seen.attempt > 1 and seen.newest in (S.QUEUED, S.ADMITTED, S.STARTING):
        return "rebooting"
    if seen.live & HAS_PROGRAM:
        return "running"
    if seen.newest in FAILURES:
        return "crashed"
    return "sleeping" if seen.enabled else "disabled"


def newest_runs(agent_pks: Iterable[int]) -> Mapping[int, Run]:
    """The newest run of each agent that has one."""
    last = Run.objects.filter(agent=OuterRef("pk")).order_by("-id").values("id")[:1]
    agents = Agent.objects.filter(pk__in=list(agent_pks)).order_by()
    newest = agents.values_list(Subquery(last), flat=True)
    few = Run.objects.only(
        *("agent_id", "version_id", "state", "state_since", "reason", "attempt"),
        *("started_at", "ended_at"),
    )
    return {run.agent_id: run for run in few.filter(pk__in=list(newest))}


def agent_columns(agents: Collection[Agent]) -> dict[int, dict[str, Any]]:
    """What the scheduler knows of each agent, by its primary key."""
    pks = [a.pk for a in agents]
    newest = newest_runs(pks)
    hot_reads.specs({run.version_id for run in newest.values()})  # all at once
    live: dict[int, dict[str, RunState]] = {}
    began = live_runs.began().order_by()  # few: no more than there are slots
    for pk, uid, state in began.values_list("agent_id", "uid", "state"):
        live.setdefault(pk, {})[uid] = S(state)
    return {a.pk: _columns(a, newest.get(a.pk), live.get(a.pk, {})) for a in agents}


def _columns(
    agent: Agent, newest: Run | None, live: Mapping[str, RunState]
) -> dict[str, Any]:
    attempt = newest.attempt if newest else 1
    seen = Newest(
        enabled=agent.enabled and not agent.held and agent.retired_at is None,
        newest=S(newest.state) if newest else None,
        attempt=attempt,
        live=frozenset(live.values()),
    )
    loop = crash_loops.of(newest)
    running = [uid for uid, state in live.items() if state in HAS_PROGRAM]
    return {
        "status": status_of(seen),
        "live_run": next(iter(running), None),
        "restarts": attempt - 1,
        "crash_loop": loop.shown() if loop else None,
        "last_run_at": iso(newest.started_at) if newest else None,
    }


def next_due(agents: Collection[Agent]) -> dict[int, dict[str, Any]]:
    """When a schedule of each agent is due next."""
    due = (
        Schedule.objects.filter(agent__in=agents, enabled=True, ended_at__isnull=True)
        .values("agent_id")
        .annotate(at=Min("next_due_at"))
        .values_list("agent_id", "at")
    )
    return {pk: {"next_due_at": iso(at)} for pk, at in due}


def agent_status(agents: Collection[Agent]) -> dict[int, str]:
    """running, sleeping, crashed, rebooting or disabled, by primary key."""
    return {pk: columns["status"] for pk, columns in agent_columns(agents).items()}


RUN_COLUMNS = (
    *("id", "uid", "agent__agent_id", "state", "reason", "exit_code", "signal"),
    *("oom_killed", "priority", "node__name", "attempt", "occurrence_key"),
    *("parent__uid", "due_at", "queued_at", "admitted_at", "started_at", "ended_at"),
    *("cpu_seconds", "peak_memory_bytes", "version__number", "requested_by"),
    *("state_since", "starting_at", "depth", "retry_of__uid", "version_id"),
    *("ready_at", "progress", "status_text", "queue_class", "gang"),
    *("suspended_at", "suspended_reason", "frozen_s", "slowed_millis"),
    *("start_by_at", "finish_by_at", "deadline", "limit_at", "timeout_s"),
)


def run_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run as the API tells it, from `.values(*RUN_COLUMNS)`."""
    scheduled = "@" in row["occurrence_key"]
    plain = (
        *("uid", "state", "reason", "exit_code", "signal", "oom_killed", "attempt"),
        *("due_at", "queued_at", "admitted_at", "starting_at"),
        *("started_at", "ended_at"),
        *("cpu_seconds", "peak_memory_bytes", "requested_by", "state_since"),
        *("progress", "status_text"),
        *("suspended_at", "suspended_reason", "frozen_s", "slowed_millis"),
    )
    return {
        **{name: row[name] for name in plain},
        "ready_at": row["ready_at"] or _ready_by_running(row),
        "agent": row["agent__agent_id"],
        "priority": Priority(row["priority"]).word,
        "node": row["node__name"],
        "schedule": row["occurrence_key"].partition("@")[0] if scheduled else None,
        "occurrence": gangs.occurrence_of(row["occurrence_key"]) if scheduled else None,
        "graph_run": graph_run_of(row["occurrence_key"]),
        "parent": row["parent__uid"],
        "gang": row["gang"] or None,
        **deadline_views.of_row(row),
        "retry_of": row["retry_of__uid"],
        "version": row["version__number"],
        "held": row["state"] == S.QUEUED and lines.is_held(row["queue_class"]),
    }


def graph_run_of(occurrence_key: str) -> str | None:
    """The graph's run whose node a run is."""
    if not occurrence_key.startswith(GRAPH_KEY):
        return None
    return occurrence_key.removeprefix(GRAPH_KEY).partition("/")[0]


def _ready_by_running(row: Mapping[str, Any]) -> datetime | None:
    """When it started, for an agent that has no readiness to show."""
    if row["started_at"] is None:
        return None
    (spec,) = hot_reads.specs({row["version_id"]}).values()
    found: datetime | None = None if spec.get("readiness") else row["started_at"]
    return found
