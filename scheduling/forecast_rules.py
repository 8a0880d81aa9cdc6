"""What is to be expected of the next run, from those before it. Pure.

Quantiles of the newest successes: of the same version where there are enough, else of
the agent, else of all agents of its kind, else what COLD says. When the newest differ
for good from those before them, only they count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log2
from statistics import median

RECENT = 30  # successes of each agent that are looked at
ENOUGH = 5  # of them to go by
ENOUGH_OF_KIND = 20
AGENTS_OF_KIND = 3
COLD_S = 60.0  # expected of an agent that nobody knows anything of
CHANGED_BY = 1.25  # how far apart two times are that have nothing in common
LIKE_SIZE = 1.0  # in powers of two: half as large to twice as large


@dataclass(frozen=True, slots=True)
class Sample:
    """One run that succeeded."""

    seconds: float
    peak_bytes: int | None = None
    version: int = 0
    size: float | None = None  # of its input, as its parameters say


@dataclass(frozen=True, slots=True)
class Quantiles:
    p50: float
    p90: float
    p95: float
    n: int  # runs it is from
    basis: str  # version, agent, kind or cold; with "+size" or "+change"


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least value seen that the next one will not exceed with this chance (the
    greatest where too few were seen to say)."""
    place = ceil(share * (len(ordered) + 1))
    return ordered[min(max(place, 1), len(ordered)) - 1]


def quantiles(values: Iterable[float], basis: str) -> Quantiles:
    """Of at least one value."""
    ordered = sorted(values)
    return Quantiles(
        p50=median(ordered),
        p90=quantile(ordered, 0.9),
        p95=quantile(ordered, 0.95),
        n=len(ordered),
        basis=basis,
    )


def since_change(values: Sequence[float]) -> Sequence[float]:
    """Of values, newest first, those since they last changed for good."""
    for count in range(ENOUGH, len(values) - ENOUGH + 1):
        new, old = sorted(values[:count]), sorted(values[count:])
        if quantile(new, 0.1) > quantile(old, 0.9) * CHANGED_BY:
            return values[:count]
        if quantile(new, 0.9) * CHANGED_BY < quantile(old, 0.1):
            return values[:count]
    return values


def of_like_size(samples: Sequence[Sample], size: float) -> list[Sample]:
    return [
        s
        for s in samples
        if s.size and s.size > 0 and abs(log2(s.size / size)) <= LIKE_SIZE
    ]


Value = Callable[[Sample], float | None]


def forecast(
    samples: Sequence[Sample],
    value: Value,
    *,
    version: int,
    size: float | None = None,
    kind: Quantiles | None = None,
    cold: float,
) -> Quantiles:
    """`samples`: the agent's, newest first. `cold`: when there is nothing to go by."""
    known = [s for s in samples if value(s) is not None]
    same = [s for s in known if s.version == version]
    chosen, basis = (same, "version") if len(same) >= ENOUGH else (known, "agent")
    if size and size > 0 and len(like := of_like_size(chosen, size)) >= ENOUGH:
        chosen, basis = like, f"{basis}+size"
    if not chosen:
        return kind or Quantiles(cold, cold, cold, 0, "cold")
    values = [float(found) for s in chosen if (found := value(s)) is not None]
    lately = since_change(values)
    if len(lately) < len(values):
        basis += "+change"
    return quantiles(lately, basis)


def of_kind(histories: Iterable[Sequence[Sample]], value: Value) -> Quantiles | None:
    """Of all agents of a kind together; None where there are too few."""
    own = [[v for s in samples if (v := value(s)) is not None] for samples in histories]
    own = [values for values in own if values]
    everything = [v for values in own for v in values]
    if len(own) < AGENTS_OF_KIND or len(everything) < ENOUGH_OF_KIND:
        return None
    return quantiles(everything, "kind")


def seconds(sample: Sample) -> float:
    return sample.seconds


def peak(sample: Sample) -> int | None:
    return sample.peak_bytes
