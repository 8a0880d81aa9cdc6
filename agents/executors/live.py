"""What may be asked of a run while it lives: freeze, thaw, other limits, its usage."""

from __future__ import annotations

import errno
import resource
from typing import Any

from agents.executors import children, sandbox
from agents.executors.endings import Endings
from agents.executors.held import Run
from agents.executors.holder_log import Log
from agents.executors.state import State

LIMITS: dict[str, tuple[type, ...]] = {
    "cpu": (int, type(None)),
    "weight": (int,),
    "memory": (int, type(None)),
    "pids": (int,),
    "open_files": (int,),
    "output_bytes": (int,),
}
NO_FREEZER = "no control group here that freezes"


class Live:
    def __init__(self, log: Log, state: State, endings: Endings) -> None:
        self.log = log
        self.state = state
        self.groups = state.groups
        self.endings = endings

    def freeze(self, uid: str) -> dict[str, Any]:
        """{"done": False} says to ask again: not all of it has come to rest."""
        run = self._find(uid)
        if run is None:
            return {"done": True}
        if run.group is None or self.groups.freezer is None:
            return {"refused": f"cannot be frozen: {NO_FREEZER}"}
        try:
            done = run.up and self.groups.freeze(run.group)
            if done:
                self.state.voices.rest(uid, on=True)
            return {"done": done}
        except OSError as error:
            return {"refused": f"cannot be frozen: {error}"}

    def is_frozen(self, run: Run) -> bool:
        return run.group is not None and self.groups.is_frozen(run.group)

    def thaw(self, uid: str) -> dict[str, Any]:
        run = self._find(uid)
        if run is not None and run.group is not None:
            self.groups.thaw(run.group)
            self.state.voices.rest(uid, on=False)
        return {"done": True}

    def memory_group(self, uid: str) -> dict[str, Any]:
        """Where the kernel counts its memory; the asker does the slow work."""
        run, tree = self._find(uid), self.groups.by.get("memory")
        if run is None:
            return {"path": None}
        if run.group is None or tree is None:
            return {"refused": f"its memory cannot be reclaimed: {NO_FREEZER}"}
        return {"path": f"{tree.path}/{run.group.name}"}

    def relimit(self, uid: str, limits: dict[str, Any]) -> dict[str, Any]:
        run = self._find(uid)
        if run is None:
            return {"done": True}
        try:
            self._relimit(run, limits)
        except OSError as error:
            used = (run.group and self.groups.needed_bytes(run.group)) or 0
            tight = used > (limits["memory"] or used)
            why = f"{used} bytes of memory are in use" if tight else error
            return {"refused": f"its limits cannot be changed: {why}"}
        return {"done": True}

    def _relimit(self, run: Run, limits: dict[str, Any]) -> None:
        if run.group is not None:
            memory, pids = own_limits(run, limits)
            self.groups.limit(run.group, memory, limits["weight"], pids)
            if run.up:
                self.groups.limit_cpu(run.group, limits["cpu"])
        run.cpu = limits["cpu"]
        if limits["open_files"] != run.open_files:
            for pid in self.endings.programs(run):
                limit_open_files(pid, limits["open_files"])
        run.open_files, run.output_bytes = limits["open_files"], limits["output_bytes"]
        said = f"{run.output_bytes} {run.open_files} {run.cpu or '-'}"
        self.log.note(f"L {run.uid} {run.token} {said}")

    def usage(self, uid: str) -> dict[str, Any] | None:
        run = self.state.runs.get(uid)
        if run is None or not run.pid:
            return None
        pids = self.endings.programs(run)
        read, written = _moved_bytes(pids)
        found: dict[str, Any] = {
            "cpu_seconds": None,
            "memory_bytes": None,
            "peak_memory_bytes": None,
            "processes": len(pids),
            "read_bytes": read,
            "written_bytes": written,
            "frozen": False,
        }
        if run.group is not None:
            found["cpu_seconds"] = self.groups.cpu_s(run.group)
            found["memory_bytes"] = self.groups.needed_bytes(run.group)
            found["peak_memory_bytes"] = self.groups.peak_bytes(run.group)
            found["frozen"] = self.groups.is_frozen(run.group)
        if found["cpu_seconds"] is None:
            seen = [one for one in map(children.stat, pids) if one]
            found["cpu_seconds"] = sum(one.cpu_s for one in seen)
        if found["memory_bytes"] is None:
            found["memory_bytes"] = sum(map(_resident_bytes, pids))
        return found

    def _find(self, uid: str) -> Run | None:
        """A run that is not on its way out already."""
        run = self.state.runs.get(uid)
        if run is None or run.ending_since is not None or run.stopped or run.timed_out:
            return None
        return run


def own_limits(run: Run, limits: dict[str, Any]) -> tuple[int | None, int]:
    """Memory and processes of its group: what a jail needs itself comes on top."""
    memory, pids = limits["memory"], limits["pids"]
    if run.jailed:
        memory = None if memory is None else memory + sandbox.OWN_BYTES
        pids += sandbox.OWN_PROCESSES
    return memory, pids


def limit_open_files(pid: int, count: int) -> None:
    """Raises OSError where the machine or our rights do not allow as many."""
    most = max(count, 16)
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    except ProcessLookupError:
        pass
    except (PermissionError, ValueError):
        raise OSError(
            errno.EPERM, f"{count} open files are more than allowed"
        ) from None


def _moved_bytes(pids: list[int]) -> tuple[int | None, int | None]:
    """Read from and written to disks, by those and the children they reaped."""
    read = written = None
    for pid in pids:
        lines = children.read_small(f"/proc/{pid}/io").decode().splitlines()
        counts = dict(line.split(": ") for line in lines)
        if "read_bytes" in counts:
            read = (read or 0) + int(counts["read_bytes"])
            written = (written or 0) + int(counts["write_bytes"])
    return read, written


def _resident_bytes(pid: int) -> int:
    pages = children.read_small(f"/proc/{pid}/statm").split()
    return int(pages[1]) * resource.getpagesize() if pages else 0
