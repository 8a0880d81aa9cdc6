"""What ended runs add up to, each counted once.

A run that is over never changes, so it is read once: this remembers which runs it
has seen live and up to which id it knows them all. The first scrape of a process
reads the history; each later one what is live, what is new and what has ended since.
Counters may start lower after retention removed rows and the process restarted,
which Prometheus takes as any restart.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import accumulate, islice
from typing import Any

from agents.models import Agent
from scheduling import live_runs
from scheduling.models import Run
from scheduling.planner.rungs import Rung
from scheduling.run_state import FINAL, RunState

DELAYS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10, 30, 60, 300)
DURATIONS_S = (0.1, 0.5, 1.0, 5.0, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)
CHUNK = 500  # ids in one statement
OVERLAP = 200  # ids are handed out before commit: a lower one may appear later
AT_ONCE_S = 0.001  # due this close to the request: somebody waits for it
CRASHED = frozenset({RunState.FAILED, RunState.LOST})
COLUMNS = (
    *("id", "state", "agent_id", "exec_env", "attempt", "cpu_seconds"),
    *("due_at", "queued_at", "started_at", "ended_at", "rung"),
)
Family = Callable[[str], Any]


class Histogram:
    """Counts per bucket and the sum, as Prometheus wants them."""

    def __init__(self, bounds: Iterable[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        names = [*(repr(float(b)) for b in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class RunTotals:
    """Grows with every `collect`; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known_to = 0  # every run up to this id was seen
        self._recent: set[int] = set()  # of these, the last OVERLAP ids
        self._live: set[int] = set()  # of these, the ones that were not over
        self.ended: Counter[str] = Counter(dict.fromkeys(sorted(FINAL), 0))
        self.crashes: Counter[int] = Counter()
        self.restarts: Counter[int] = Counter()
        self.cpu_s = 0.0
        self.preemptions = Counter({rung.word: 0 for rung in Rung})
        self.start_delay = Histogram(DELAYS_S)
        self.request_to_start = Histogram(DELAYS_S)
        self.durations: dict[str, Histogram] = {}

    def collect(self, family: Family) -> Iterator[Any]:
        with self._lock:
            self.catch_up()
            yield from self._metrics(family)

    def catch_up(self) -> None:
        """Count every run that ended since the last time."""
        still_live: set[int] = set()
        for live in (live_runs.began(), live_runs.queued()):
            still_live.update(live.order_by().values_list("id", flat=True).iterator())
        over = iter(sorted(self._live - still_live))
        while chunk := list(islice(over, CHUNK)):
            for run in Run.objects.filter(id__in=chunk).values_list(*COLUMNS):
                self._count(*run)
        self._live &= still_live
        fresh = Run.objects.filter(id__gt=self._known_to - OVERLAP).order_by("id")
        for run in fresh.values_list(*COLUMNS).iterator(chunk_size=5000):
            if run[0] not in self._recent:
                self._recent.add(run[0])
                self._known_to = max(self._known_to, run[0])
                self._count(*run)
        self._recent = {i for i in self._recent if i > self._known_to - OVERLAP}

    def _count(
        self,
        run_id: int,
        state: str,
        agent_id: int,
        exec_env: str,
        attempt: int,
        cpu_s: float | None,
        due_at: datetime,
        queued_at: datetime,
        started_at: datetime | None,
        ended_at: datetime | None,
        rung: str,
    ) -> None:
        if state not in FINAL:
            self._live.add(run_id)
            return
        self._live.discard(run_id)
        self.ended[state] += 1
        self.crashes[agent_id] += state in CRASHED
        self.restarts[agent_id] += attempt > 1
        self.cpu_s += cpu_s or 0.0
        if rung:
            self.preemptions[rung] += 1
        if started_at is None:
            return
        self.start_delay.add((started_at - due_at).total_seconds())
        if (due_at - queued_at).total_seconds() <= AT_ONCE_S:
            self.request_to_start.add((started_at - queued_at).total_seconds())
        if ended_at is not None:
            took = self.durations.setdefault(exec_env, Histogram(DURATIONS_S))
            took.add((ended_at - started_at).total_seconds())

    def _metrics(self, family: Family) -> Iterator[Any]:
        ended = family("kos_runs_ended")
        for state, count in self.ended.items():
            ended.add_metric([state], count)
        yield ended
        yield from self._of_agents(family)
        cpu = family("kos_run_cpu_seconds")
        cpu.add_metric([], self.cpu_s)
        yield cpu
        made_room = family("kos_preemptions")
        for rung, count in self.preemptions.items():
            made_room.add_metric([rung], count)
        yield made_room
        for name, histogram in (
            ("kos_run_start_delay_seconds", self.start_delay),
            ("kos_run_request_to_start_seconds", self.request_to_start),
        ):
            metric = family(name)
            metric.add_metric([], histogram.buckets(), histogram.sum)
            yield metric
        durations = family("kos_run_duration_seconds")
        for exec_env, histogram in sorted(self.durations.items()):
            durations.add_metric([exec_env], histogram.buckets(), histogram.sum)
        yield durations

    def _of_agents(self, family: Family) -> Iterator[Any]:
        agents = dict(Agent.objects.values_list("id", "agent_id"))
        for name, counts in (
            ("kos_agent_crashes", self.crashes),
            ("kos_agent_restarts", self.restarts),
        ):
            metric = family(name)
            for pk, count in counts.items():
                if pk in agents:
                    metric.add_metric([agents[pk]], count)
            yield metric
