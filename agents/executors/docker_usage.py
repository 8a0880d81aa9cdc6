"""What a container uses, from its control groups and its network's counters.

Read from the kernel's files on this machine: the engine's own `stats` takes a second.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time

from agents.executors.base import Usage
from agents.executors.cgroup_trees import mounts, number, write
from agents.executors.children import read_small

FREEZE_WITHIN_S = 10.0  # a throttled process freezes when its turn comes
Groups = dict[str, str]  # controller ("" for v2) -> folder of the container's group


def groups_of(pid: int) -> Groups:
    """Where the kernel counts the process. Empty when it is gone."""
    paths: dict[str, str] = {}
    for line in read_small(f"/proc/{pid}/cgroup", 1 << 16).decode().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    found: Groups = {}
    for place, kind, options in mounts():
        here = {""} if kind == "cgroup2" else set(options)
        for controller in here & paths.keys():
            found[controller] = place + paths[controller].rstrip("/")
    return found


def memory_group(groups: Groups) -> str:
    """The folder in which its memory is counted."""
    return groups.get("memory") or groups.get("", "")


def usage(init: int, groups: Groups, *, cpu_before_s: float) -> Usage:
    """What is counted in `groups`; the init among it, which is next to nothing."""
    unified = groups.get("", "")
    if "memory" in groups:
        memory = groups["memory"]
        now, peak = "memory.usage_in_bytes", "memory.max_usage_in_bytes"
    else:
        memory, now, peak = unified, "memory.current", "memory.peak"
    read, written = _transfers(groups)
    received, sent = _network(init)
    cpu_s = _cpu_s(groups)
    return Usage(
        cpu_seconds=None if cpu_s is None else max(cpu_s - cpu_before_s, 0.0),
        memory_bytes=_known(f"{memory}/{now}"),
        peak_memory_bytes=_known(f"{memory}/{peak}"),
        processes=len(members(groups)),
        read_bytes=read,
        written_bytes=written,
        received_bytes=received,
        sent_bytes=sent,
        frozen=is_frozen(groups),
    )


def is_frozen(groups: Groups) -> bool:
    """As the kernel has it, whoever asked for it."""
    if "freezer" in groups:
        return read_small(f"{groups['freezer']}/freezer.state").strip() == b"FROZEN"
    return bool(number(f"{groups.get('', '')}/cgroup.events", b"frozen"))


def members(groups: Groups) -> list[int]:
    """The pids of everything in it, the init included."""
    for name in ("pids", "memory", ""):
        if name in groups:
            said = read_small(f"{groups[name]}/cgroup.procs", 1 << 20)
            return [int(pid) for pid in said.split()]
    return []


def freeze(groups: Groups) -> bool:
    """Without the engine, which gives up on what forks fast or is throttled. Returns
    whether all of it is frozen."""
    path = f"{groups.get('pids', groups.get('', ''))}/pids.max"
    before = read_small(path).decode().strip() or "max"
    write(path, 0)  # for the moment nothing in it can fork
    _set_frozen(groups, True)
    until = time.monotonic() + FREEZE_WITHIN_S
    while not (frozen := is_frozen(groups)) and time.monotonic() < until:
        time.sleep(0.001)
    write(path, before)
    return frozen


def thaw(groups: Groups) -> None:
    _set_frozen(groups, False)


def _set_frozen(groups: Groups, wanted: bool) -> None:
    if "freezer" in groups:
        state = "FROZEN" if wanted else "THAWED"
        write(f"{groups['freezer']}/freezer.state", state)
    else:
        write(f"{groups.get('', '')}/cgroup.freeze", int(wanted))


def limit_open_files(groups: Groups, count: int) -> None:
    """Of what runs now; what it starts inherits it. Silent where we may not."""
    for pid in members(groups):
        with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, count))


def _cpu_s(groups: Groups) -> float | None:
    if "cpuacct" in groups:
        used = _known(f"{groups['cpuacct']}/cpuacct.usage")
        return None if used is None else used / 1e9
    path = f"{groups.get('', '')}/cpu.stat"
    return number(path, b"usage_usec") / 1e6 if os.path.exists(path) else None


def _known(path: str) -> int | None:
    return number(path) if os.path.exists(path) else None


def _transfers(groups: Groups) -> tuple[int | None, int | None]:
    """(read, written) of block devices."""
    if "blkio" in groups:
        path = f"{groups['blkio']}/blkio.throttle.io_service_bytes"
        lines = [line.split() for line in read_small(path, 1 << 16).splitlines()]
        return tuple(  # type: ignore[return-value]
            sum(int(line[2]) for line in lines if line[1:2] == [kind])
            for kind in (b"Read", b"Write")
        )
    path = f"{groups.get('', '')}/io.stat"
    if not os.path.exists(path):
        return None, None
    words = read_small(path, 1 << 16).split()
    return tuple(  # type: ignore[return-value]
        sum(int(word[len(key) :]) for word in words if word.startswith(key))
        for key in (b"rbytes=", b"wbytes=")
    )


def _network(init: int) -> tuple[int | None, int | None]:
    """(received, sent) of the container's own network, loopback left out."""
    lines = read_small(f"/proc/{init}/net/dev", 1 << 16).decode().splitlines()[2:]
    if not lines:
        return None, None
    received = sent = 0
    for line in lines:
        name, _, counters = line.partition(":")
        if name.strip() != "lo":
            received += int(counters.split()[0])
            sent += int(counters.split()[8])
    return received, sent
