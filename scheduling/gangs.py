"""Gangs as rows: members share a uid and a queue class of gangs of their size.

How large they are is said by a schedule, a spawn or a node of a graph, else by the
agent.

A member that is cancelled while it waits is left out; one that comes back to the queue
alone (its node never took it) joins those that run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scheduling.models import new_uid
from scheduling.queue_marks import GROUPED

if TYPE_CHECKING:
    from scheduling.runs import Wanted

MEMBER = "#"  # in an occurrence key, before the number of a member
MARK = "&"  # in the name of a queue class, before the size of its gangs


def mark(size: int) -> str:
    """What tells the queue class of gangs from others; "" for a run alone."""
    return f"{MARK}{size}" if size else ""


def size_of(queue_class: str) -> int:
    """How many members gangs of the class have at most; 0: its runs are alone."""
    return int(queue_class.partition(MARK)[2].partition(GROUPED)[0] or 0)


def key_of(occurrence_key: str, number: int) -> str:
    """The key of one member of an occurrence's gang; the first has the plain one."""
    return occurrence_key if number == 1 else f"{occurrence_key}{MEMBER}{number}"


def occurrence_of(key: str) -> str:
    """The occurrence that a run, or a member of a gang, is for."""
    return key.partition(MEMBER)[0]


def number_of(key: str) -> int:
    """Which member of its gang the run of a key is; 1: the first, or one alone."""
    return int(key.partition(MEMBER)[2] or 1)


def of_agent(spec: Mapping[str, Any]) -> int:
    """How many runs of the agent start at once where nobody says; 0: one alone."""
    return spec.get("gang") or 0


def formed(one: Wanted, size: int) -> list[Wanted]:
    """The run, or as many of it as start together, each under a key of its own."""
    if not size:
        return [one]
    key = one.occurrence_key
    first = replace(one, gang=new_uid(), gang_size=size)
    keys = [key and key_of(key, number) for number in range(1, size + 1)]
    return [replace(first, occurrence_key=key) for key in keys]


def whole(
    rows: Sequence[tuple[Any, ...]], column: int, most: int
) -> Sequence[tuple[Any, ...]]:
    """Without the last gang where reading stopped, perhaps in the midst of it."""
    if len(rows) < most or rows[0][column] == rows[-1][column]:
        return rows
    return [row for row in rows if row[column] != rows[-1][column]]
