"""The Standard Workload Format of the Parallel Workloads Archive, as a trace. Pure.

The format: Chapin et al., "Benchmarks and Standards for the Evaluation of Parallel Job
Schedulers" (JSSPP 1999), version 2.2. One job a line, 18 numbers; -1 is "not known";
header lines begin with a semicolon.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from agents.priority import Priority
from scheduling.simulation.trace import Job, Machine, Trace, by_arrival

FIELDS = 18
HEADER = re.compile(r";\s*(MaxProcs|MaxNodes)\s*:\s*(\d+)", re.ASCII)
KIB = 1024
ROOMY = 10**15  # bytes: a log that says nothing of memory is not bound by it
LEAST_S = 0.001


class BadTrace(ValueError):
    """A line that cannot be read, named by its number."""


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    submit_s: float
    run_s: float
    allocated: int
    used_kib: float
    requested: int
    requested_s: float
    requested_kib: float
    status: int
    queue: int

    @property
    def processors(self) -> int:
        return self.requested if self.requested > 0 else self.allocated

    @property
    def memory_bytes(self) -> int:
        """Of the whole job; the format counts per processor."""
        asked = self.requested_kib if self.requested_kib > 0 else self.used_kib
        return int(max(asked, 0) * KIB * self.processors)


def parse(lines: Iterable[str]) -> Trace:
    """Jobs that ran, on one machine with the processors the header names (else the
    most that any job had).

    Raises BadTrace naming the line.
    """
    found, left_out = list[Line](), Counter[str]()
    processors = 0
    for at, line in enumerate(lines, 1):
        if named := HEADER.match(line):
            processors = max(processors, int(named[2]))
        elif line.strip() and not line.lstrip().startswith(";"):
            job = _line(at, line.split())
            if why := _unusable(job):
                left_out[why] += 1
            else:
                found.append(job)
    if not found:
        raise BadTrace("there is no job in it that ran")
    processors = processors or max(job.processors for job in found)
    begins_s = min(job.submit_s for job in found)
    jobs = [_job(job, begins_s, processors) for job in found]
    memory = ROOMY if any(job.memory_bytes for job in jobs) else 0
    machine = Machine("cluster", processors * 1000, memory or ROOMY)
    notes = tuple(f"{count} jobs left out: {why}" for why, count in left_out.items())
    return Trace(by_arrival(jobs), (machine,), notes)


def _line(at: int, words: list[str]) -> Line:
    if len(words) < FIELDS:
        raise BadTrace(f"line {at}: expected {FIELDS} numbers, found {len(words)}")
    try:
        numbers = [float(word) for word in words[:FIELDS]]
    except ValueError:
        numbers = []
    if not numbers or not all(map(isfinite, numbers)):
        raise BadTrace(f"line {at}: expected numbers only")
    return Line(
        number=int(numbers[0]),
        submit_s=numbers[1],
        run_s=numbers[3],
        allocated=int(numbers[4]),
        used_kib=numbers[6],
        requested=int(numbers[7]),
        requested_s=numbers[8],
        requested_kib=numbers[9],
        status=int(numbers[10]),
        queue=int(numbers[14]),
    )


def _unusable(job: Line) -> str:
    if job.run_s < 0:
        return "it never ran"
    if job.processors <= 0:
        return "it names no processors"
    if job.submit_s < 0:
        return "nobody knows when it came"
    return ""


def _job(line: Line, begins_s: float, processors: int) -> Job:
    limit_s = line.requested_s if line.requested_s > 0 else None
    return Job(
        name=f"job-{line.number}",
        at_s=line.submit_s - begins_s,
        takes_s=max(line.run_s, LEAST_S),
        cpu_millis=min(line.processors, processors) * 1000,
        memory_bytes=line.memory_bytes,
        priority=int(Priority.MEDIUM),
        # a log's jobs ran somewhat beyond what they asked for; that ended none of them
        limit_s=None if limit_s is None else max(limit_s, line.run_s),
    )
