"""What to do when a machine itself runs short: of memory, CPU, network or battery.

A pure rule, asked again and again. It acts in small steps, the least important first,
and looks what came of it; it takes its acts back in the opposite order. Two thresholds
and a pause between acts keep it from flapping: in between it does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scheduling.planner.rungs import Rung

Cause = Literal["memory", "cpu", "network", "power"]
Do = Literal["slow", "freeze", "reclaim", "checkpoint", "stop", "unslow", "thaw"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds, as shares of one. See the configuration's power and rebalance."""

    touches: int = 1  # the highest priority that may be touched
    memory_above: float = 0.95
    memory_pressure: float = 0.2
    memory_share: float = 0.85  # max_memory_usage
    cpu_above: float = 0.95
    cpu_pressure: float = 0.5
    network_bytes: int = 0
    margin: float = 0.1
    hold_below: float = 0.3
    freeze_below: float = 0.1
    power_margin: float = 0.05
    dwell_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a node's sampler saw last. None: the machine does not tell."""

    memory: float | None = None  # share in use
    memory_pressure: float | None = None
    cpu: float | None = None
    cpu_pressure: float | None = None
    network_bytes: float | None = None  # a second, both ways
    battery: float | None = None
    on_mains: bool = True


@dataclass(frozen=True, slots=True)
class Live:
    """A run on the node that may be touched."""

    id: int
    priority: int
    rungs: frozenset[int]
    frozen: bool = False
    by_us: bool = False  # frozen by an act of before
    slowed: bool = False
    ran_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Act:
    run: int
    do: Do
    why: str


@dataclass(frozen=True, slots=True)
class Balance:
    """`troubles`: cause -> in words, as long as it holds; those of before are known,
    so that each has two thresholds."""

    troubles: Mapping[Cause, str] = field(default_factory=dict)
    acts: tuple[Act, ...] = ()

    @property
    def held(self) -> str:
        """Why the least important are not admitted; "" if they are. For want of CPU
        they are: what is short then is shared, and they get the smaller part."""
        return next((w for cause, w in self.troubles.items() if cause != "cpu"), "")


def decide(
    seen: Reading,
    runs: Sequence[Live],
    limits: Limits,
    *,
    before: Mapping[Cause, str],
    quiet_s: float,
    urgent_runs: bool,
    may_act: bool = True,
) -> Balance:
    """`before`: the troubles as they stood; `quiet_s`: since the last act;
    `urgent_runs`: something more important runs there and would gain by CPU."""
    troubles = _troubles(seen, limits, before, urgent_runs)
    mine = [run for run in runs if run.priority <= limits.touches]
    if quiet_s < limits.dwell_s:
        return Balance(troubles)
    acts = _acts(seen, mine, limits, troubles) if may_act else ()
    return Balance(troubles, acts or _undo(mine, troubles, seen, limits))


# -- what is wrong --------------------------------------------------------------------


def _troubles(
    seen: Reading, limits: Limits, before: Mapping[Cause, str], urgent_runs: bool
) -> dict[Cause, str]:
    """In the order of how much they matter."""
    found: dict[Cause, str] = {}
    if why := _power(seen, limits, "power" in before):
        found["power"] = why
    if why := _memory(seen, limits, "memory" in before):
        found["memory"] = why
    if urgent_runs and (why := _cpu(seen, limits, "cpu" in before)):
        found["cpu"] = why
    if why := _network(seen, limits, "network" in before):
        found["network"] = why
    return found


def _power(seen: Reading, limits: Limits, before: bool) -> str:
    if seen.on_mains or seen.battery is None:
        return ""
    least = limits.hold_below + (limits.power_margin if before else 0)
    return f"on battery {seen.battery:.0%}" if seen.battery < least else ""


def _memory(seen: Reading, limits: Limits, before: bool) -> str:
    less = limits.margin if before else 0.0
    if seen.memory is None:
        return ""
    if seen.memory >= limits.memory_above - less:
        return f"memory {seen.memory:.0%} in use"
    pressed = (seen.memory_pressure or 0.0) >= limits.memory_pressure * _part(less)
    if pressed and seen.memory >= limits.memory_share - less:
        return f"memory pressure {seen.memory_pressure or 0.0:.0%}"
    return ""


def _cpu(seen: Reading, limits: Limits, before: bool) -> str:
    less = limits.margin if before else 0.0
    if seen.cpu is None or seen.cpu < limits.cpu_above - less:
        return ""
    waits = seen.cpu_pressure
    if waits is not None and waits < limits.cpu_pressure * _part(less):
        return ""
    return f"CPU {seen.cpu:.0%} in use"


def _network(seen: Reading, limits: Limits, before: bool) -> str:
    less = limits.margin if before else 0.0
    if not limits.network_bytes or seen.network_bytes is None:
        return ""
    if seen.network_bytes < limits.network_bytes * _part(less):
        return ""
    return f"network {seen.network_bytes / 1e6:.0f} MB/s"


def _part(less: float) -> float:
    """The lower threshold as a part of the upper one."""
    return max(1.0 - less, 0.0)


def _battery_is_empty(seen: Reading, limits: Limits, *, margin: float) -> bool:
    if seen.on_mains or seen.battery is None:
        return False
    return seen.battery < limits.freeze_below + margin


# -- what to do -----------------------------------------------------------------------


def _acts(
    seen: Reading, mine: list[Live], limits: Limits, troubles: Mapping[Cause, str]
) -> tuple[Act, ...]:
    running = [run for run in mine if not run.frozen]
    if _battery_is_empty(seen, limits, margin=0):
        stills = [r for r in running if Rung.FREEZE in r.rungs]
        return tuple(Act(r.id, "freeze", troubles["power"]) for r in stills)
    if "memory" in troubles and (acts := _for_memory(seen, mine, limits, troubles)):
        return acts
    if "cpu" in troubles and running:
        return _for_cpu(running, troubles["cpu"])
    return ()


def _for_memory(
    seen: Reading, mine: list[Live], limits: Limits, troubles: Mapping[Cause, str]
) -> tuple[Act, ...]:
    """One at a time. First none of them grows any more; where that was not enough and
    memory is all but gone, they end."""
    why = troubles["memory"]
    for run in _least_first(mine):
        if Rung.RECLAIM in run.rungs:
            return (Act(run.id, "reclaim", why),)
        if not run.frozen and Rung.FREEZE in run.rungs:
            return (Act(run.id, "freeze", why),)
    if seen.memory is None or seen.memory < limits.memory_above:
        return ()
    for run in _least_first(mine):
        saves = Rung.CHECKPOINT in run.rungs
        return (Act(run.id, "checkpoint" if saves else "stop", why),)
    return ()


def _for_cpu(running: list[Live], why: str) -> tuple[Act, ...]:
    """A priority at a time: first slower, then not at all."""
    if fast := [run for run in running if not run.slowed]:
        least = min(run.priority for run in fast)
        return tuple(Act(r.id, "slow", why) for r in fast if r.priority == least)
    stills = [run for run in running if Rung.FREEZE in run.rungs]
    least = min((run.priority for run in stills), default=0)
    return tuple(Act(r.id, "freeze", why) for r in stills if r.priority == least)


def _undo(
    mine: list[Live], troubles: Mapping[Cause, str], seen: Reading, limits: Limits
) -> tuple[Act, ...]:
    """A priority at a time, the most important first: frozen ones, then slow ones."""
    empty = _battery_is_empty(seen, limits, margin=limits.power_margin)
    if not empty and not {"memory", "cpu"} & troubles.keys():
        stills = [run for run in mine if run.frozen and run.by_us]
        if stills:
            most = max(run.priority for run in stills)
            back = [run for run in stills if run.priority == most]
            return tuple(Act(r.id, "thaw", "there is room again") for r in back)
    if "cpu" not in troubles and (slow := [run for run in mine if run.slowed]):
        most = max(run.priority for run in slow)
        back = [run for run in slow if run.priority == most]
        return tuple(Act(r.id, "unslow", "there is room again") for r in back)
    return ()


def _least_first(runs: Sequence[Live]) -> list[Live]:
    return sorted(runs, key=lambda run: (run.priority, run.ran_s, -run.id))
