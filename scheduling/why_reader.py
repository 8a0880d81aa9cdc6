"""What an answer to "why" and "when" needs beyond the snapshot: who runs, until when it
probably will, and how long those that wait will take. Never read by a tick.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from agents import live_config
from scheduling import agent_scheduler, durations, forecasts, horizons, live_runs
from scheduling.models import Run
from scheduling.planner.changes import Case
from scheduling.planner.forward import MOST_STEPS, Forecast, Running, forecast
from scheduling.planner.snapshot import QueueClass, Resources, Snapshot, WaitingRun
from scheduling.run_state import RunState

PER_CLASS = 40  # runs of each class that are looked at one by one
FOR_GOOD = timedelta(days=365)  # a persistent agent's run does not end by itself
LEAST_LEFT_S = 5.0
COLUMNS = (
    *("id", "agent_id", "agent__kind", "node__name", "priority", "state"),
    *("cpu_millis", "memory_bytes", "gpus", "devices", "ports", "started_at"),
    *("admitted_at", "state_since", "stop_grace_s"),
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The situation, and how long everything in it will probably take."""

    snapshot: Snapshot
    running: Mapping[int, Running]
    takes: Mapping[int, float]  # waiting run -> seconds
    unknown: frozenset[int]  # of both, those whose agent has not finished before
    now: datetime
    live: Sequence[Mapping[str, Any]] = ()  # rows of what runs
    agents: Mapping[int, int] = field(default_factory=dict)  # of each waiting run

    def case(self, run_id: int) -> Case:
        return Case(self.snapshot, self.running, run_id)

    def forecast(
        self, until: Collection[int] = (), most_steps: int = MOST_STEPS
    ) -> Forecast:
        return forecast(
            self.snapshot,
            self.running.values(),
            self.takes,
            now=self.now,
            until=until,
            preemption=agent_scheduler.may_preempt(live_config.current()),
            most_steps=most_steps,
        )

    def slow(self) -> Outlook:
        """The same with every run as long as nine of ten of its agent's are. From what
        was read already."""
        known = _p90s(
            {*self.agents.values(), *(r["agent_id"] for r in self.live)}, self.now
        )
        return replace(
            self,
            running={row["id"]: _running(row, known, self.now) for row in self.live},
            takes={pk: seconds_of(self.agents.get(pk, 0), known) for pk in self.takes},
        )


def _p90s(agents: Collection[int], now: datetime) -> dict[int, float]:
    book = forecasts.book(now)
    histories = ((pk, book.of_agent.get(pk)) for pk in agents)
    found = {pk: book.duration(pk, h.kind) for pk, h in histories if h is not None}
    return {
        pk: max(took.p90, durations.LEAST_S) for pk, took in found.items() if took.n
    }


def seconds_of(agent_pk: int, known: Mapping[int, float]) -> float:
    """How long a run of the agent probably takes: the one place that decides it."""
    return known.get(agent_pk, durations.UNKNOWN_S)


def read(now: datetime, *, run: Run | None = None) -> Outlook:
    """`run`: one that waits and is due; it is shown however far back it stands."""
    snapshot = agent_scheduler.seen_now(now=now, per_class=PER_CLASS)
    if run is not None:
        snapshot = shown(snapshot, run)
    if live_config.current().placement.backfill == "easy":
        snapshot = horizons.with_horizon(snapshot, now)
    known = durations.expected(now)
    live = list(live_runs.began().values(*COLUMNS))
    waiting = {one.id for line in snapshot.waiting for one in line.first}
    agents = dict(Run.objects.filter(pk__in=waiting).values_list("pk", "agent_id"))
    unknown = {row["id"] for row in live if row["agent_id"] not in known}
    unknown |= {pk for pk, agent in agents.items() if agent not in known}
    return Outlook(
        snapshot,
        {row["id"]: _running(row, known, now) for row in live},
        {pk: seconds_of(agents.get(pk, 0), known) for pk in waiting},
        frozenset(unknown),
        now,
        live,
        agents,
    )


def shown(snapshot: Snapshot, run: Run) -> Snapshot:
    """With the run in its class's line, last where it stands too far back."""
    name = run.queue_class
    if not any(line.name == name for line in snapshot.waiting):
        return snapshot
    came = run.line_at or run.due_at
    mine = WaitingRun(run.pk, run.token, came, run.priority, run.reason_code)
    waiting = tuple(
        _with(line, mine) if line.name == name else line for line in snapshot.waiting
    )
    return replace(snapshot, waiting=waiting)


def _with(line: QueueClass, run: WaitingRun) -> QueueClass:
    if any(one.id == run.id for one in line.first):
        return line
    run = replace(run, front=line.first[0].front)
    return replace(line, first=(*line.first, run))


def _running(
    row: Mapping[str, Any], known: Mapping[int, float], now: datetime
) -> Running:
    return Running(
        row["id"],
        row["node__name"] or "",
        row["priority"],
        Resources(row["cpu_millis"], row["memory_bytes"], row["gpus"]),
        _ends_at(row, known, now),
        tuple(row["devices"] or ()),
        tuple((row["ports"] or {}).values()),
        yielding=row["state"] == RunState.STOPPING,
    )


def _ends_at(
    row: Mapping[str, Any], known: Mapping[int, float], now: datetime
) -> datetime:
    """Who has taken longer than expected takes a tenth longer still."""
    if row["state"] == RunState.STOPPING:
        grace = timedelta(seconds=row["stop_grace_s"] or LEAST_LEFT_S)
        gone_at: datetime = row["state_since"] + grace
        return max(gone_at, now)
    if row["agent__kind"] == "persistent":
        return now + FOR_GOOD
    since = row["started_at"] or row["admitted_at"] or row["state_since"]
    expected: datetime = since + timedelta(seconds=seconds_of(row["agent_id"], known))
    late_s = max((now - since).total_seconds() / 10, LEAST_LEFT_S)
    return expected if expected > now else now + timedelta(seconds=late_s)
