"""The seed's task queue: in which order waiting runs are considered. Pure.

FIFO takes who has waited longest, LIFO the newest, priority the most urgent and among
equals who has waited longest; dependency the run of a graph with the longest way still
to go, then as priority does. The waiting themselves are rows; a mode is only an
order over them, so switching it loses nothing.

In priority mode waiting counts (`Ageing`), so that nobody starves. Who was put to the
front by hand goes first in every mode.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

CRITICAL = 4  # the most urgent priority


class Waiting(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def path_s(self) -> float: ...
    @property
    def front(self) -> bool: ...


W = TypeVar("W", bound=Waiting)
Key = Callable[[Waiting], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Ageing:
    """What waiting is worth; 0 switches a part off.

    Waiting `per_level_s` longer weighs as much as one priority more, except against
    critical runs. Who has waited `longest_wait_s` goes before everything younger.
    """

    per_level_s: float = 0.0
    longest_wait_s: float = 0.0


NO_AGEING = Ageing()


def _fifo(run: Waiting) -> tuple[float, ...]:
    return (run.due_at.timestamp(), run.id)


def _lifo(run: Waiting) -> tuple[float, ...]:
    return (-run.due_at.timestamp(), -run.id)


def _priority(run: Waiting) -> tuple[float, ...]:
    return (-run.priority, *_fifo(run))


def _dependency(run: Waiting) -> tuple[float, ...]:
    return (-run.path_s, *_priority(run))


ORDERS: Mapping[str, Key] = {
    "fifo": _fifo,
    "lifo": _lifo,
    "priority": _priority,
    "dependency": _dependency,
}


def order(
    mode: str,
    lines: Iterable[Iterable[W]],
    *,
    now: datetime | None = None,
    ageing: Ageing = NO_AGEING,
) -> Iterator[W]:
    """Merge lines, each already in the mode's order, into one line in that order.

    Runs of one line share their priority and whether they are at the front. Raises
    KeyError for a mode that is not in ORDERS.
    """
    return heapq.merge(*lines, key=key_of(mode, now, ageing))


def key_of(mode: str, now: datetime | None, ageing: Ageing) -> Key:
    """The whole order of a mode as a key: smallest first."""
    key = ORDERS[mode]
    if mode == "priority" and now is not None and ageing != NO_AGEING:
        key = _aged(now, ageing)
    return lambda run: (not run.front, *key(run))


def _aged(now: datetime, ageing: Ageing) -> Key:
    """Overdue ones, then critical ones, then by when they came, each priority worth
    `per_level_s` of it: the older of two keeps its lead however long both wait."""
    overdue = now.timestamp() - (ageing.longest_wait_s or math.inf)
    level_s = ageing.per_level_s

    def key(run: Waiting) -> tuple[float, ...]:
        came, pk = _fifo(run)
        if came <= overdue:
            return (0, came, 0, 0, pk)
        if run.priority >= CRITICAL:
            return (1, came, 0, 0, pk)
        lead = came - run.priority * level_s if level_s else -run.priority
        return (2, lead, -run.priority, came, pk)

    return key


def earned(priority: int, waited_s: float, ageing: Ageing) -> int:
    """The priority that a wait has raised a run to."""
    if ageing.longest_wait_s and waited_s >= ageing.longest_wait_s:
        return max(priority, CRITICAL)
    if not ageing.per_level_s or waited_s < 0:
        return priority
    return max(priority, min(priority + int(waited_s // ageing.per_level_s), 3))
