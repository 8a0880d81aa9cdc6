"""Memory of a frozen run, written out by the kernel where there is somewhere to write
it to, and measured: what counts is what its group has resident before and after.

Version 2 has memory.reclaim, version 1 memory.force_empty. Both need swap: the memory
of a program has nowhere else to go.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from agents.executors.cgroup_trees import number, write
from agents.executors.children import read_small

if TYPE_CHECKING:
    from agents.executors.base import Reclaimed

MEMINFO = "/proc/meminfo"
NO_SWAP = "this machine has no swap: the memory of a program has nowhere to go"
NO_DOOR = "no control group of the machine gives memory back when asked"
MOST_ROUNDS = 8  # the kernel gives back a part of what it is asked for


def why_not(*, has_group: bool) -> str:
    """Why nothing can be reclaimed here; "" if it can."""
    if not has_group:
        return NO_DOOR
    free = number_of(read_small(MEMINFO, 1 << 16), b"SwapFree:")
    return "" if free > 0 else NO_SWAP


def number_of(text: bytes, name: bytes) -> int:
    """Kilobytes as /proc/meminfo tells them, in bytes."""
    words = text.partition(name)[2].split(maxsplit=1)
    return int(words[0]) * 1024 if words and words[0].isdigit() else 0


def resident_bytes(group: str) -> int:
    """Memory of its programs that is in RAM: file pages are not counted."""
    stat = f"{group}/memory.stat"
    return number(stat, b"anon") or number(stat, b"total_rss")


def reclaim(group: str) -> Reclaimed:
    """Have the kernel write out what it can of a group. Raises BadSpec where it
    cannot."""
    from agents.executors.base import BadSpec, Reclaimed  # the holder needs neither

    door = next(
        (
            path
            for name in ("memory.reclaim", "memory.force_empty")
            if os.path.exists(path := f"{group}/{name}")
        ),
        "",
    )
    if said := why_not(has_group=bool(door)):
        raise BadSpec(f"its memory cannot be reclaimed: {said}")
    before = left = resident_bytes(group)
    write(f"{group}/memory.swap.max", "max")  # capped at 0 for runs with a limit
    for _ in range(MOST_ROUNDS):
        _ask(door, left)
        now = resident_bytes(group)
        if now >= left or not now:
            break
        left = now
    return Reclaimed(before, resident_bytes(group))


def _ask(door: str, wanted: int) -> None:
    """EAGAIN says that it was less than wanted."""
    said = str(wanted) if door.endswith("reclaim") else "0"
    with suppress(OSError):
        fd = os.open(door, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, said.encode())
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EBUSY):
                raise
        finally:
            os.close(fd)
