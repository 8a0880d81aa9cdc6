"""What the configuration says of power and of rebalancing: sections and keys. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.config_readers import boolean, number, percent, seconds, size
from agents.priority import Priority
from agents.quantities import format_memory, parse_percent

TOUCHABLE = tuple(p.word for p in Priority if p < Priority.HIGH)
A_PERCENTAGE = "a percentage above 0% and up to 100%, such as 20%"
Row = tuple[str, str, str, Callable[[object], Any], Callable[[Any], object]]


@dataclass(frozen=True, slots=True)
class Power:
    hold_below: float = 0.3  # on battery: the least important wait
    freeze_below: float = 0.1  # on battery: and are frozen
    margin: float = 0.05  # so much more charge takes it back


@dataclass(frozen=True, slots=True)
class Rebalance:
    enabled: bool = True
    touches: str = "low"  # the most important priority that may be touched
    memory_above: float = 0.95  # of the machine's memory in use
    memory_pressure: float = 0.2  # of the time something waits for memory
    cpu_above: float = 0.95
    cpu_pressure: float = 0.5
    network_bytes: int = 0  # a second, both ways; 0: not looked at
    margin: float = 0.1  # so much less takes it back
    dwell_s: float = 15.0  # between two acts on a node


def touchable(value: object) -> str:
    if value not in TOUCHABLE:
        raise ValueError
    return str(value)


def share(name: str) -> Row:
    return name, name, A_PERCENTAGE, parse_percent, percent


ROWS: tuple[Row, ...] = (
    share("power.hold_below"),
    share("power.freeze_below"),
    share("power.margin"),
    (
        "rebalance.enabled",
        "rebalance.enabled",
        "true or false",
        boolean,
        lambda value: value,
    ),
    (
        "rebalance.touches",
        "rebalance.touches",
        f"one of {', '.join(TOUCHABLE)}",
        touchable,
        lambda value: value,
    ),
    share("rebalance.memory_above"),
    share("rebalance.memory_pressure"),
    share("rebalance.cpu_above"),
    share("rebalance.cpu_pressure"),
    (
        "rebalance.network",
        "rebalance.network_bytes",
        "bytes a second from 0 (not looked at) to 1PB, such as 100MB",
        size(0, 10**15),
        lambda value: value and format_memory(value),
    ),
    share("rebalance.margin"),
    (
        "rebalance.dwell",
        "rebalance.dwell_s",
        "seconds from 1 to 3600",
        seconds(1, 3600),
        number,
    ),
)
