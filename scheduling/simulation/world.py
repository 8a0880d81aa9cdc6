"""A world in which only time, programs and messages are made up.

The rows are real, the controller is the one that `run_scheduler` runs, and what nodes
do to the rows (STARTING, RUNNING, the ends) goes through the functions they use. One
event after the other: whatever is due at an instant is settled before time moves on.
It works on the database this process is connected to, which must hold nothing else.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F

from agents import agent_registry, live_config
from agents.executors.base import Happening
from agents.models import Agent, ConfigOverride, Node, NodeLog
from scheduling import (
    agent_scheduler,
    endings,
    forecasts,
    hot_reads,
    launch,
    lease,
    nodes,
    runs,
)
from scheduling.models import Run
from scheduling.run_state import FINAL, RunState
from scheduling.simulation.executor import SimulatedExecutor
from scheduling.simulation.report import Outcome
from scheduling.simulation.trace import Job, Trace

BEGINS_AT = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday; nothing depends on it
PER_CLASS = 128  # as the controller's own batches
CHORES_EVERY = timedelta(seconds=60)
STOP_TAKES = timedelta(seconds=1)  # of a program that is asked to end
ACTOR = "simulation"
UNLIMITED_S = 100 * 365 * 86_400.0
LEAST_BYTES = 10**6  # of a definition
MOST_IDLE_STEPS = 1000  # chores in a row that change nothing: nothing ever will
S = RunState


@dataclass
class World:
    """`seed` decides whatever is left to chance: the back-off of retries."""

    trace: Trace
    config: dict[str, object] = field(default_factory=dict)
    seed: int = 1
    now: datetime = BEGINS_AT
    executor: SimulatedExecutor = field(default_factory=SimulatedExecutor)
    launches: list[tuple[str, list[tuple[int, int]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        random.seed(self.seed)
        hot_reads.forget()
        forecasts.forget()
        self.token = self._lead()
        self.logs = {m.name: self._join(m) for m in self.trace.machines}
        self.agents: dict[tuple[int, int, int], Agent] = {}
        self.jobs: dict[str, Job] = {}  # by the key of their occurrence
        self.arrived = 0
        self.kept_at = self.now

    # -- what the world is made of -----------------------------------------------------

    def _lead(self) -> int:
        for key, value in self.config.items():
            ConfigOverride.objects.create(
                key=key, value=value, set_at=self.now, set_by=ACTOR
            )
        live_config.forget()
        token = lease.acquire(ACTOR, ttl_s=UNLIMITED_S)
        assert token is not None, "nobody else leads a simulated world"
        return token

    def _join(self, machine: Any) -> NodeLog:
        share = live_config.current().max_memory_fraction
        facts = {
            "cpu_millis": machine.cpu_millis,
            "memory_bytes": int(machine.memory_bytes / share),  # jobs may use it all
            "gpus": machine.gpus,
            "environments": ["subprocess"],
            "boot_id": ACTOR,
        }
        nodes.register(machine.name, now=self.now, facts=facts)
        node = Node.objects.get(name=machine.name)
        return NodeLog.objects.create(node=node, executor="simulated")

    def agent_for(self, job: Job) -> Agent:
        """Jobs of the same need are runs of one agent."""
        need = (job.cpu_millis, job.memory_bytes, job.gpus)
        if need not in self.agents:
            definition = {
                "agent_id": f"needs-{len(self.agents)}",
                "exec_env": "subprocess",
                "entry_point": "/bin/true",
                "cpu": job.cpu_millis / 1000,
                "memory": max(job.memory_bytes, LEAST_BYTES),
                "gpu": job.gpus,
            }
            self.agents[need] = agent_registry.register(
                definition, actor=ACTOR, now=self.now, may_unsandboxed=True
            )
        return self.agents[need]

    # -- time --------------------------------------------------------------------------

    def run(self) -> list[Outcome]:
        """Until nothing is left to happen."""
        idle = 0
        self.settle()
        while idle < MOST_IDLE_STEPS and not self.is_over():
            at = self.next_instant()
            if at is None:
                at, idle = self.now + CHORES_EVERY, idle + 1
            else:
                idle = 0
            self.now = max(at, self.now)
            self.settle()
        return self.outcomes()

    def is_over(self) -> bool:
        if self.arrived < len(self.trace.jobs) or self.executor.programs:
            return False
        return not Run.objects.exclude(state__in=sorted(FINAL)).exists()

    def next_instant(self) -> datetime | None:
        """When something happens by itself; None: only chores may change anything."""
        found = [self.executor.next_end()]
        if self.arrived < len(self.trace.jobs):
            found.append(self.at(self.trace.jobs[self.arrived].at_s))
        wait_s = hot_reads.alarms(self.now).next_after(self.now)
        if wait_s:
            found.append(self.now + timedelta(seconds=wait_s))
        return min((at for at in found if at is not None), default=None)

    def at(self, seconds: float) -> datetime:
        return BEGINS_AT + timedelta(seconds=seconds)

    def settle(self) -> None:
        """Everything that is due now, until the controller has nothing more to do."""
        live_config.forget()
        self.tell(self.executor.ended(self.now))
        self.arrive()
        if self.now - self.kept_at >= CHORES_EVERY:
            self.kept_at = self.now
            Node.objects.filter(state="up").update(heartbeat_at=self.now)
            agent_scheduler.housekeep(self.token, now=self.now)
        while agent_scheduler.step(
            self.token, now=self.now, per_class=PER_CLASS, bus=self
        ):
            self.launch()
        self.launch()
        self.stop_what_must()

    # -- what happens ------------------------------------------------------------------

    def arrive(self) -> None:
        jobs = self.trace.jobs
        while self.arrived < len(jobs) and self.at(jobs[self.arrived].at_s) <= self.now:
            self.ask(jobs[self.arrived])
            self.arrived += 1

    def ask(self, job: Job) -> Run:
        run = runs.request_run(
            self.agent_for(job),
            actor=ACTOR,
            now=self.now,
            priority=job.priority,
            timeout_s=job.limit_s or UNLIMITED_S,
        )
        self.jobs[run.occurrence_key] = job
        return run

    def send_launch(
        self, node: str, batch: Sequence[tuple[int, int]], *, needy: bool = False
    ) -> None:
        """The bus: what the controller sends to a node."""
        self.launches.append((node, list(batch)))

    def launch(self) -> None:
        """What the nodes do with what was sent to them."""
        sent, self.launches = self.launches, []
        for node, batch in sent:
            started: list[Happening] = []
            for start in launch.begin(batch, node=node, now=self.now):
                job = self.jobs[start.spec.env["KOS_OCCURRENCE_ID"]]
                started.append(
                    self.executor.start(
                        start.spec,
                        takes_s=job.takes_s,
                        exit_code=job.exit_code,
                        now=self.now,
                    )
                )
            self.apply(node, started)

    def stop_what_must(self) -> None:
        stopping = Run.objects.filter(state=S.STOPPING).values_list("uid", flat=True)
        for uid in stopping:
            self.executor.stop(uid, self.now + STOP_TAKES)

    def tell(self, happenings: Sequence[Happening]) -> None:
        """Each node reads what happened on it."""
        if not happenings:
            return
        uids = [h.uid for h in happenings]
        where = dict(Run.objects.filter(uid__in=uids).values_list("uid", "node__name"))
        of: dict[str, list[Happening]] = defaultdict(list)
        for one in happenings:
            of[where[one.uid]].append(one)
        for node, mine in of.items():
            self.apply(node, mine)

    def apply(self, node: str, happenings: Sequence[Happening]) -> None:
        log = self.logs[node]
        log.offset += len(happenings)
        endings.apply(happenings, log=log, offset=log.offset, now=self.now)

    # -- what it came to ---------------------------------------------------------------

    def outcomes(self) -> list[Outcome]:
        """One for each job that arrived, in the order of arrival."""
        attempts: dict[str, list[Run]] = defaultdict(list)
        for run in Run.objects.order_by("pk"):
            attempts[run.occurrence_key].append(run)
        return [outcome(job, attempts[key]) for key, job in self.jobs.items()]


def outcome(job: Job, attempts: Sequence[Run]) -> Outcome:
    first, last = attempts[0], attempts[-1]
    lost_s = sum(length_s(run) for run in attempts[:-1])
    preempted = sum(run.state == S.PREEMPTED for run in attempts)
    return Outcome(
        name=job.name,
        state=str(last.state),
        cpu_millis=job.cpu_millis,
        queued_s=first.queued_at.timestamp(),
        started_s=seconds_of(last.started_at),
        ended_s=seconds_of(last.ended_at),
        attempts=len(attempts),
        preemptions=preempted,
        lost_s=lost_s,
    )


def seconds_of(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def length_s(run: Run) -> float:
    if run.started_at is None or run.ended_at is None:
        return 0.0
    return (run.ended_at - run.started_at).total_seconds()


def cpu_millis() -> int:
    """What all machines of the world have together."""
    return sum(Node.objects.values_list(F("cpu_millis"), flat=True))
