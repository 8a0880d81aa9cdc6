"""Gangs as rows: members share a uid and a queue class of gangs of their size.

A member that is cancelled while it waits is left out; one that comes back to the queue
alone (its node never took it) joins those that run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scheduling.queue_marks import GROUPED

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


def whole(
    rows: Sequence[tuple[Any, ...]], column: int, most: int
) -> Sequence[tuple[Any, ...]]:
    """Without the last gang where reading stopped, perhaps in the midst of it."""
    if len(rows) < most or rows[0][column] == rows[-1][column]:
        return rows
    return [row for row in rows if row[column] != rows[-1][column]]
