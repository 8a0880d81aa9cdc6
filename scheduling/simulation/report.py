"""What a replay came to: waits, slowdown, utilisation, preemptions, lost work. Pure.

Bounded slowdown after Feitelson, "Metrics for Parallel Job Scheduling and Their
Convergence" (JSSPP 2001): (wait + run) / max(run, 10 s), at least 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

BOUND_S = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One job, from the first time it was queued to its last end."""

    name: str
    state: str  # of its last attempt
    cpu_millis: int
    queued_s: float
    started_s: float | None  # its last attempt
    ended_s: float | None
    attempts: int = 1
    preemptions: int = 0
    frozen_s: float = 0.0
    lost_s: float = 0.0  # work of attempts that were ended before they were done

    @property
    def wait_s(self) -> float:
        """Everything between asking and the last start, less work that was lost."""
        assert self.started_s is not None
        return max(self.started_s - self.queued_s - self.lost_s, 0.0)

    @property
    def run_s(self) -> float:
        assert self.started_s is not None
        assert self.ended_s is not None
        return self.ended_s - self.started_s

    @property
    def slowdown(self) -> float:
        whole_s = self.wait_s + self.lost_s + self.run_s
        return max(whole_s / max(self.run_s, BOUND_S), 1.0)


@dataclass(frozen=True, slots=True)
class Report:
    policy: str
    jobs: int
    finished: int
    makespan_s: float
    wait_mean_s: float
    wait_p50_s: float
    wait_p95_s: float
    wait_max_s: float
    slowdown_mean: float
    slowdown_p95: float
    utilisation: float  # of the processors, from first arrival to last end
    preemptions: int
    lost_core_s: float
    simulated_s: float
    took_s: float  # of real time

    @property
    def times_real(self) -> float:
        return self.simulated_s / self.took_s if self.took_s else 0.0

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "times_real": round(self.times_real, 1)}


def summarise(
    policy: str, outcomes: Sequence[Outcome], *, cpu_millis: int, took_s: float
) -> Report:
    done = [o for o in outcomes if o.started_s is not None and o.ended_s is not None]
    begins_s = min((o.queued_s for o in outcomes), default=0.0)
    ends_s = max((o.ended_s or 0.0 for o in done), default=begins_s)
    span_s = ends_s - begins_s
    used = sum(o.cpu_millis * o.run_s for o in done)
    waits = sorted(o.wait_s for o in done)
    slowdowns = sorted(o.slowdown for o in done)
    return Report(
        policy=policy,
        jobs=len(outcomes),
        finished=len(done),
        makespan_s=span_s,
        wait_mean_s=mean(waits),
        wait_p50_s=quantile(waits, 0.5),
        wait_p95_s=quantile(waits, 0.95),
        wait_max_s=quantile(waits, 1.0),
        slowdown_mean=mean(slowdowns),
        slowdown_p95=quantile(slowdowns, 0.95),
        utilisation=used / (cpu_millis * span_s) if span_s and cpu_millis else 0.0,
        preemptions=sum(o.preemptions for o in outcomes),
        lost_core_s=sum(o.lost_s * o.cpu_millis for o in outcomes) / 1000,
        simulated_s=span_s,
        took_s=took_s,
    )


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value at least `share` of the ordered values do not exceed."""
    if not ordered:
        return 0.0
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


COLUMNS = (
    ("policy", "{0.policy}"),
    ("finished", "{0.finished}/{0.jobs}"),
    ("wait mean", "{0.wait_mean_s:,.0f} s"),
    ("p50", "{0.wait_p50_s:,.0f} s"),
    ("p95", "{0.wait_p95_s:,.0f} s"),
    ("longest", "{0.wait_max_s:,.0f} s"),
    ("slowdown", "{0.slowdown_mean:,.1f}"),
    ("p95", "{0.slowdown_p95:,.1f}"),
    ("utilisation", "{0.utilisation:.1%}"),
    ("makespan", "{0.makespan_s:,.0f} s"),
    ("preempted", "{0.preemptions}"),
    ("lost", "{0.lost_core_s:,.0f} core s"),
    ("speed", "{0.times_real:,.0f}x"),
)


def table(reports: Sequence[Report]) -> str:
    """One line a policy, in columns."""
    rows = [[name for name, _ in COLUMNS]]
    rows += [[form.format(report) for _, form in COLUMNS] for report in reports]
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
