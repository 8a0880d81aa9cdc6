"""Control groups: what a run may use, what it used, and that nothing of it remains.

Groups are recycled: making and removing one in five hierarchies costs 0.35 ms, going
in and out of one that is there costs 0.07.
"""

from __future__ import annotations

import os
import signal
from collections import deque

from agents.executors import reclaim
from agents.executors.cgroup_trees import Tree, number, remove, write
from agents.executors.children import read_small, send
from agents.executors.freezer import Freezer

PERIOD_US = 100_000
LEAST_QUOTA_US = 10_000  # 0.1 core: less would stall a program that just starts
HOLDER_WEIGHT = {True: ("cpu.weight", 1000), False: ("cpu.shares", 10240)}  # ten cores
MOST_IDLE = 256  # groups kept for the next run
MOST_LEFT_BYTES = 2 << 20  # page cache a run left behind; above it the group goes


class Slot:
    """A group in every tree, and what it was last set to."""

    __slots__ = (
        "cpu_s",
        "gathered",
        "memory",
        "name",
        "ooms",
        "pids",
        "quota",
        "used",
        "weight",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.memory: int | None = None
        self.pids: int | None = None
        self.weight: int | None = None
        self.quota: int | None = None
        self.cpu_s = 0.0  # used in it before this run
        self.ooms = 0  # counted in it before this run
        self.used = False
        self.gathered = False  # in the freezer's group of that name too


class Groups:
    """The node's groups: take one, enter, leave, end what is in it, give it back."""

    def __init__(self, trees: list[Tree]) -> None:
        self.trees = [tree for tree in trees if not tree.on_demand]
        freezing = [tree for tree in trees if "freezer" in tree.controllers]
        self.freezer = Freezer(freezing[0]) if freezing and self.trees else None
        for tree in self.trees:
            tree.home_fd = os.open(
                f"{tree.home}/{tree.door}", os.O_WRONLY | os.O_CLOEXEC
            )
        self.by: dict[str, Tree] = {c: t for t in self.trees for c in t.controllers}
        if cpu := self.by.get("cpu"):  # busy programs must not keep us from our work
            name, value = HOLDER_WEIGHT[cpu.unified]
            write(f"{cpu.home}/{name}", value)
        self.idle: deque[Slot] = deque()
        self.slots: dict[str, Slot] = {}
        self.count = 0

    def capabilities(self) -> dict[str, bool]:
        held = {name: name in self.by for name in ("memory", "cpu", "pids")}
        return {
            **held,
            "relimit": any(held.values()),
            "freeze": self.freezer is not None,
            "reclaim": not reclaim.why_not(has_group="memory" in self.by),
            "kill_all": bool(self.trees),
        }

    # -- taking and giving back -------------------------------------------------------

    def take(self, memory: int | None, weight: int, pids: int) -> Slot | None:
        """An empty group with these limits, or None without control groups.

        Raises OSError when the kernel refuses.
        """
        if not self.trees:
            return None
        slot = self.idle.popleft() if self.idle else self._make()
        self.limit(slot, memory, weight, pids)
        if slot.used:
            self._forget_peak(slot)
        slot.used = True
        return slot

    def limit(self, slot: Slot, memory: int | None, weight: int, pids: int) -> None:
        """Of a new run or a live one. Raises OSError when the kernel refuses."""
        if memory != slot.memory:
            self._limit_memory(slot, memory)
            slot.memory = memory
        if pids != slot.pids and "pids" in self.by:
            self._set("pids", slot, "pids.max", pids)
        if weight != slot.weight and "cpu" in self.by:
            self._weigh(slot, weight)
        slot.pids, slot.weight = pids, weight

    def enter(self, slot: Slot) -> None:
        for tree in self.trees:
            tree.enter(slot.name)

    def leave(self) -> None:
        for tree in self.trees:
            tree.leave()

    def limit_cpu(self, slot: Slot, millis: int | None) -> None:
        """Only once we are out again: a throttled holder would stall every run."""
        tree = self.by.get("cpu")
        if tree is None or millis == slot.quota:
            return
        quota = max(millis * PERIOD_US // 1000, LEAST_QUOTA_US) if millis else None
        if tree.unified:
            value = f"{quota or 'max'} {PERIOD_US}"
            self._set("cpu", slot, "cpu.max", value)
        else:
            self._set("cpu", slot, "cpu.cfs_quota_us", quota or -1)
        slot.quota = millis

    def give_back(self, slot: Slot) -> None:
        """Recycle an empty group; one that cannot be emptied is left for later."""
        if slot.gathered and self.freezer:
            self.freezer.drop(slot.name)
            slot.gathered = False
        self.limit_cpu(slot, None)
        left = self.usage_bytes(slot)
        if len(self.idle) < MOST_IDLE and left <= MOST_LEFT_BYTES:
            self.idle.append(slot)
        else:
            self._remove(slot)

    def adopt(self, name: str, cpu_s: float, ooms: int) -> Slot | None:
        """The group of a run that an earlier holder started, and its counts then."""
        if not name or not self.trees:
            return None
        self.count = max(self.count, int(name[1:]))
        slot = self.slots.setdefault(name, Slot(name))
        slot.used, slot.cpu_s, slot.ooms = True, cpu_s, ooms
        slot.quota = -1  # unknown, so it is set again before the group is recycled
        slot.memory = slot.pids = slot.weight = -1
        slot.gathered = self.freezer is not None and self.freezer.has(name)
        return slot

    def tidy(self) -> None:
        """End and remove every group that no run of ours is in."""
        trees = [*self.trees, *([self.freezer.tree] if self.freezer else [])]
        names = {name for tree in trees for name in os.listdir(tree.path)}
        for name in names - set(self.slots):
            if name[:1] == "r" and name[1:].isdecimal():
                self.count = max(self.count, int(name[1:]))
                slot = Slot(name)
                slot.gathered = self.freezer is not None and self.freezer.has(name)
                self.end_all(slot)
                self._remove(slot)

    def dissolve(self) -> None:
        """Remove the idle groups, when the holder goes for good."""
        while self.idle:
            self._remove(self.idle.popleft())

    def _make(self) -> Slot:
        self.count += 1
        slot = self.slots[f"r{self.count}"] = Slot(f"r{self.count}")
        for tree in self.trees:
            os.makedirs(f"{tree.path}/{slot.name}", exist_ok=True)
        return slot

    def _remove(self, slot: Slot) -> None:
        self.slots.pop(slot.name, None)
        if slot.gathered and self.freezer:
            self.freezer.drop(slot.name)
        for tree in self.trees:
            remove(
                f"{tree.path}/{slot.name}"
            )  # else something dies in it: tidied later

    # -- what is in it ----------------------------------------------------------------

    def members(self, slot: Slot) -> list[int]:
        tree = self.by.get("pids") or self.by.get("freezer") or self.trees[0]
        data = read_small(self._file(tree, slot, "cgroup.procs"), 1 << 16)
        return [int(pid) for pid in data.split()]

    def end_all(self, slot: Slot) -> None:
        """SIGKILL to everything inside, and nothing can fork away meanwhile. What was
        about to appear is caught by calling again until `members` is empty."""
        tree = self.by.get("freezer")
        if tree and tree.unified and write(self._file(tree, slot, "cgroup.kill"), 1):
            return
        frozen = False
        if "pids" in self.by:
            slot.pids = 0
            write(self._file(self.by["pids"], slot, "pids.max"), 0)
        elif tree:
            frozen = write(self._file(tree, slot, "freezer.state"), "FROZEN")
        for pid in self.members(slot):
            send(pid, signal.SIGKILL)
        if tree and frozen:
            write(self._file(tree, slot, "freezer.state"), "THAWED")
        self.thaw(slot)  # version 1 ends nobody in the cold

    # -- taking the CPU away ----------------------------------------------------------

    def freeze(self, slot: Slot) -> bool:
        """Whether nothing in it is given CPU any more; else ask again in a moment.
        Raises OSError when the kernel refuses."""
        if self.freezer is None:
            raise OSError("no control group here that freezes")
        slot.gathered |= self.freezer.tree.on_demand
        return self.freezer.freeze(slot.name, lambda: self.members(slot))

    def thaw(self, slot: Slot) -> None:
        if self._may_be_frozen(slot) and self.freezer:
            self.freezer.thaw(slot.name)

    def is_frozen(self, slot: Slot) -> bool:
        if self._may_be_frozen(slot) and self.freezer:
            return self.freezer.is_frozen(slot.name)
        return False

    def _may_be_frozen(self, slot: Slot) -> bool:
        return slot.gathered or "freezer" in self.by

    # -- what it used -----------------------------------------------------------------

    def cpu_s(self, slot: Slot) -> float | None:
        """CPU seconds of this run alone."""
        tree = self.by.get("cpuacct")
        if tree is None:
            return None
        if tree.unified:
            total = number(self._file(tree, slot, "cpu.stat"), b"usage_usec") / 1e6
        else:
            total = number(self._file(tree, slot, "cpuacct.usage")) / 1e9
        return total - slot.cpu_s

    def close_count(self, slot: Slot) -> float | None:
        """As cpu_s; what is counted from now on is the next run's."""
        used = self.cpu_s(slot)
        slot.cpu_s += used or 0.0
        return used

    def peak_bytes(self, slot: Slot) -> int | None:
        tree = self.by.get("memory")
        if tree is None:
            return None
        name = "memory.peak" if tree.unified else "memory.max_usage_in_bytes"
        return number(self._file(tree, slot, name)) or None

    def usage_bytes(self, slot: Slot) -> int:
        tree = self.by.get("memory")
        if tree is None:
            return 0
        name = "memory.current" if tree.unified else "memory.usage_in_bytes"
        return number(self._file(tree, slot, name))

    def needed_bytes(self, slot: Slot) -> int | None:
        """As usage_bytes less the file pages that the kernel would take back."""
        tree = self.by.get("memory")
        if tree is None:
            return None
        name = b"inactive_file" if tree.unified else b"total_inactive_file"
        cached = number(self._file(tree, slot, "memory.stat"), name)
        return max(self.usage_bytes(slot) - cached, 0)

    def was_oom(self, slot: Slot) -> bool:
        """Whether the kernel ended something of this run for want of memory."""
        tree = self.by.get("memory")
        if tree is None:
            return False
        name = "memory.events" if tree.unified else "memory.oom_control"
        total = number(self._file(tree, slot, name), b"oom_kill")
        new, slot.ooms = total > slot.ooms, total
        return new

    # -- setting ----------------------------------------------------------------------

    def _limit_memory(self, slot: Slot, most: int | None) -> None:
        """Swap included, where the kernel counts it; the order avoids a refusal."""
        tree = self.by.get("memory")
        if tree is None:
            return
        if tree.unified:  # it would end processes rather than refuse
            if most and slot.used and most < (self.needed_bytes(slot) or 0):
                raise OSError(f"more than {most} bytes of memory are in use")
            self._set("memory", slot, "memory.max", most or "max")
            write(self._file(tree, slot, "memory.swap.max"), 0 if most else "max")
            write(self._file(tree, slot, "memory.oom.group"), 1)
            return
        both = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        write(self._file(tree, slot, both[1]), -1)
        try:
            self._set("memory", slot, both[0], most or -1)
        except OSError:  # in use: what held before goes on
            most = slot.memory if slot.memory != -1 else None
            raise
        finally:
            if most:
                write(self._file(tree, slot, both[1]), most)

    def _weigh(self, slot: Slot, millis: int) -> None:
        if self.by["cpu"].unified:
            self._set("cpu", slot, "cpu.weight", min(max(millis // 10, 1), 10_000))
        else:
            self._set("cpu", slot, "cpu.shares", max(millis * 1024 // 1000, 2))

    def _forget_peak(self, slot: Slot) -> None:
        tree = self.by.get("memory")
        if tree is not None:
            name = "memory.peak" if tree.unified else "memory.max_usage_in_bytes"
            write(self._file(tree, slot, name), 0)

    def _set(self, controller: str, slot: Slot, name: str, value: object) -> None:
        path = self._file(self.by[controller], slot, name)
        if not write(path, value):
            raise OSError(f"control group refuses {name} = {value}")

    @staticmethod
    def _file(tree: Tree, slot: Slot, name: str) -> str:
        return f"{tree.path}/{slot.name}/{name}"
