"""The seed's task queue: in which order waiting runs are considered. Pure.

FIFO takes who has waited longest, LIFO the newest, priority the most urgent and among
equals who has waited longest; dependency the run of a graph with the longest way still
to go, then as priority does. The waiting themselves are rows; a mode is only an
order over them, so switching it loses nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar


class Waiting(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def path_s(self) -> float: ...


W = TypeVar("W", bound=Waiting)
Key = Callable[[Waiting], tuple[float, ...]]


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


def order(mode: str, lines: Iterable[Sequence[W]]) -> Iterator[W]:
    """Merge lines, each already in the mode's order, into one line in that order.

    Raises KeyError for a mode that is not in ORDERS.
    """
    key = ORDERS[mode]
    return heapq.merge(*lines, key=key)
