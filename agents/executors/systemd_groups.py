"""The control groups systemd made for a unit: counters, freezing, ending all in it.

On a machine that mixes version 1 and 2, systemd caps by version 1 and keeps an empty
version 2 group of the same path beside it, which can still freeze and kill.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field

from agents.executors.base import Usage
from agents.executors.cgroup_trees import ONLY, mounts, number, write
from agents.executors.children import read_small

FREEZE_WITHIN_S = 10.0  # a process deep in the kernel freezes when it comes out of it
LOOK_EVERY_S = 0.002  # whether all of a group is frozen
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MOST_BYTES = 1 << 62  # version 1 says "no cap" as a number above it


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where this machine's control groups are."""

    v1: dict[str, str] = field(default_factory=dict)  # controller -> mount point
    unified: str = ""  # mount point of version 2
    controllers: frozenset[str] = frozenset()  # that version 2 has for our units

    def has(self, controller: str) -> bool:
        return controller in self.v1 or controller in self.controllers

    def is_pure(self) -> bool:
        """Whether version 2 is all there is: systemd itself can freeze then."""
        return bool(self.unified) and not self.v1


def find_hierarchies(root: str) -> Hierarchies:
    """What is mounted here; `root` is the manager's own group."""
    v1: dict[str, str] = {}
    unified = ""
    only = os.environ.get("KOS_CGROUPS", "")
    for place, kind, names in mounts():
        if only and kind != ONLY[only]:
            continue
        if kind == "cgroup2":
            unified = unified or place
            continue
        for name in names:
            v1.setdefault(name, place)
    listed = read_small(f"{unified}{root}/cgroup.controllers") if unified else b""
    return Hierarchies(v1, unified, frozenset(listed.decode().split()))


class Group:
    """One unit's group in every hierarchy."""

    def __init__(self, hierarchies: Hierarchies, path: str) -> None:
        self.hierarchies = hierarchies
        self.path = path

    def file(self, controller: str, v1_name: str, name: str) -> str:
        """The file of a controller, called `v1_name` or, in version 2, `name`; "" where
        neither hierarchy has it."""
        if place := self.hierarchies.v1.get(controller):
            return f"{place}{self.path}/{v1_name}"
        return self._unified(name)

    def _unified(self, name: str) -> str:
        place = self.hierarchies.unified
        return f"{place}{self.path}/{name}" if place else ""

    def counters(self) -> list[str]:
        """Files that tell, at the end, what the run used and whether memory ran out."""
        files = [
            self.file("memory", "memory.oom_control", "memory.events"),
            self.file("memory", "memory.max_usage_in_bytes", "memory.peak"),
            self._cpu(),
        ]
        return [file for file in files if file]

    def _cpu(self) -> str:
        if self.hierarchies.unified:
            return self._unified("cpu.stat")
        return self.file("cpuacct", "cpuacct.usage", "")

    # -- what is used -----------------------------------------------------------------

    def usage(self) -> Usage:
        return Usage(
            cpu_seconds=self._cpu_seconds(),
            memory_bytes=_or_none(
                self.file("memory", "memory.usage_in_bytes", "memory.current")
            ),
            peak_memory_bytes=_or_none(
                self.file("memory", "memory.max_usage_in_bytes", "memory.peak")
            ),
            processes=_or_none(self.file("pids", "pids.current", "pids.current")),
            read_bytes=self._moved(b"Read", b"rbytes="),
            written_bytes=self._moved(b"Write", b"wbytes="),
            frozen=self.is_frozen(),
        )

    def _cpu_seconds(self) -> float | None:
        path = self._cpu()
        if not os.path.exists(path):
            return None
        if path.endswith("cpu.stat"):
            return number(path, b"usage_usec") / 1e6
        return number(path) / 1e9

    def _moved(self, v1_word: bytes, word: bytes) -> int | None:
        """Bytes to or from block devices."""
        path = self.file("blkio", "blkio.throttle.io_service_bytes", "io.stat")
        if not os.path.exists(path):
            return None
        total = 0
        for line in read_small(path).splitlines():
            for at, part in enumerate(parts := line.split()):
                if part == v1_word and at + 1 < len(parts):
                    total += int(parts[at + 1])
                elif part.startswith(word):
                    total += int(part[len(word) :])
        return total

    def ooms(self) -> int:
        """How often the kernel ended something in it for want of memory."""
        path = self.file("memory", "memory.oom_control", "memory.events")
        return number(path, b"oom_kill")

    def held_bytes(self) -> int:
        """Memory in use that the kernel could not drop to make room."""
        used = number(self.file("memory", "memory.usage_in_bytes", "memory.current"))
        stat = self.file("memory", "memory.stat", "memory.stat")
        cache = number(stat, b"active_file") + number(stat, b"inactive_file")
        return max(used - cache, 0)

    def has_memory_cap(self, most_bytes: int | None) -> bool:
        path = self.file("memory", "memory.limit_in_bytes", "memory.max")
        said = read_small(path).decode().strip() if path else ""
        if most_bytes is None:
            return said == "max" or (said.isdigit() and int(said) > MOST_BYTES)
        return said == str(most_bytes - most_bytes % PAGE_BYTES)

    def cap_swap(self, most_bytes: int | None) -> None:
        """Version 1 counts memory and swap together; systemd leaves that uncapped."""
        if "memory" in self.hierarchies.v1:
            name = "memory.memsw.limit_in_bytes"
            write(self.file("memory", name, ""), most_bytes or -1)

    # -- freezing and ending ----------------------------------------------------------

    def can_freeze(self) -> bool:
        return os.access(self._unified("cgroup.freeze"), os.W_OK)

    def is_frozen(self) -> bool:
        return number(self._unified("cgroup.freeze")) == 1

    async def freeze(self) -> None:
        """Return when nothing in it is given CPU. Silent when it is over."""
        until = asyncio.get_running_loop().time() + FREEZE_WITHIN_S
        write(self._unified("cgroup.freeze"), 1)
        while number(self._unified("cgroup.events"), b"frozen") != 1:
            if not self.is_frozen() or asyncio.get_running_loop().time() > until:
                return  # over, or thawed by somebody else, or stuck in the kernel
            await asyncio.sleep(LOOK_EVERY_S)

    def thaw(self) -> None:
        write(self._unified("cgroup.freeze"), 0)

    def end_all(self) -> bool:
        """SIGKILL to everything in it at once. Returns whether that could be done."""
        return write(self._unified("cgroup.kill"), 1)


def _or_none(path: str) -> int | None:
    return number(path) if path and os.path.exists(path) else None
