"""What is replayed: jobs that arrive, and the machines they run on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from agents.priority import Priority


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. Times in seconds since the trace begins."""

    name: str
    at_s: float  # when it is asked for
    takes_s: float  # how long its program runs if nobody disturbs it
    cpu_millis: int = 1000
    memory_bytes: int = 0
    gpus: int = 0
    priority: int = int(Priority.MEDIUM)
    limit_s: float | None = None  # what it asked for; it is ended then
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    cpu_millis: int
    memory_bytes: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    jobs: tuple[Job, ...]  # by arrival
    machines: tuple[Machine, ...]
    notes: tuple[str, ...] = field(default=())  # what was left out, and why

    def __post_init__(self) -> None:
        in_order = all(a.at_s <= b.at_s for a, b in pairwise(self.jobs))
        assert in_order, "jobs come in the order of their arrival"

    def first(self, count: int | None) -> Trace:
        jobs = self.jobs if count is None else self.jobs[:count]
        return Trace(jobs, self.machines, self.notes)


def by_arrival(jobs: Sequence[Job]) -> tuple[Job, ...]:
    return tuple(sorted(jobs, key=lambda job: job.at_s))
