"""Which control groups this machine lets us use, and the node's own place in them.

v1 hierarchies (memory, cpu, pids, cpuacct, freezer) and v2 are found at run time; what
cannot be used is left out.
"""

from __future__ import annotations

import contextlib
import os

from agents.executors.children import read_small

WANTED = frozenset({"memory", "cpu", "pids", "cpuacct", "freezer"})
ENTERED = WANTED | {"name=systemd"}  # by which a service manager ends a service
ONLY = {"v1": "cgroup", "v2": "cgroup2", "none": ""}


class Tree:
    """One hierarchy we may use: the node's group in it and how a process enters."""

    __slots__ = ("controllers", "home", "home_fd", "on_demand", "path", "unified")

    def __init__(
        self,
        path: str,
        controllers: frozenset[str],
        unified: bool,
        *,
        on_demand: bool = False,
    ) -> None:
        self.on_demand = on_demand  # no run is in it until it must be frozen
        self.path = path
        self.controllers = controllers
        self.unified = unified
        self.home = f"{path}/holder"
        self.home_fd = -1

    def enter(self, slot: str) -> None:
        """Go in with this process. A single thread of v1 takes no global lock."""
        fd = os.open(f"{self.path}/{slot}/{self.door}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)

    def leave(self) -> None:
        os.write(self.home_fd, b"0")

    @property
    def door(self) -> str:
        return "cgroup.procs" if self.unified else "tasks"


def mounts() -> list[tuple[str, str, frozenset[str]]]:
    """(mount point, "cgroup" or "cgroup2", v1 controllers) of this namespace."""
    found = []
    for line in read_small("/proc/self/mountinfo", 1 << 20).decode().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            place = before.split()[4].encode().decode("unicode_escape")
            found.append((place, kind, frozenset(options.split(","))))
    return found


def own_paths() -> dict[str, str]:
    """Controller (or "" for v2) -> path of this process in that hierarchy."""
    paths = {}
    for line in read_small("/proc/self/cgroup", 1 << 16).decode().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path.rstrip("/")
    return paths


def make_home(place: str, own: str, node: str) -> str:
    """The node's group with ourselves in its holder/ leaf, at the top of the hierarchy
    if we may (so that the end of whoever started us spares us), else below our own.
    Returns its path, or "" when neither is allowed."""
    for base in dict.fromkeys((place, place + own)):
        path = f"{base}/kos-{node}"
        for _ in range(3):  # somebody who sweeps may take it away before we are in
            with contextlib.suppress(OSError):
                os.makedirs(f"{path}/holder", exist_ok=True)
            if write(f"{path}/holder/cgroup.procs", 0):
                return path
        remove_with_children(path)
    return ""


def sweep(home: str) -> None:
    """Take away what nodes left behind that no longer are."""
    parent, mine = os.path.split(home)
    with os.scandir(parent) as found:
        for entry in [e for e in found if e.name[:4] == "kos-" and e.name != mine]:
            if not read_small(f"{entry.path}/holder/cgroup.procs"):
                remove_with_children(entry.path)


def remove_with_children(path: str) -> None:
    """Only empty groups go; the kernel keeps one that anything is in."""
    with contextlib.suppress(OSError), os.scandir(path) as found:
        for entry in list(found):
            if entry.is_dir(follow_symlinks=False):
                remove(entry.path)
    remove(path)


def enable(path: str, wanted: frozenset[str]) -> frozenset[str]:
    """Turn v2 controllers on for the children of `path`. Returns those that are on."""
    for group in (os.path.dirname(path), path):
        for controller in wanted:
            write(f"{group}/cgroup.subtree_control", f"+{controller}")
    return frozenset(read_small(f"{path}/cgroup.subtree_control").decode().split())


def write(path: str, value: object) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, str(value).encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def remove(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def number(path: str, name: bytes = b"") -> int:
    """The number in a file, or behind `name` in a file of "name number" lines."""
    data = read_small(path)
    if name:
        data = (b"\n" + data).partition(b"\n" + name + b" ")[2].partition(b"\n")[0]
    return int(data) if data.strip().isdigit() else 0


def settle_in(node: str, only: str = "") -> list[Tree]:
    """Move this process to the node's own groups; the trees its runs can use.

    `only`: "v1", "v2" or "none" instead of all that is there.
    """
    own = own_paths()
    trees = []
    seen: set[str] = set()
    found = [m for m in mounts() if ONLY.get(only, m[1]) == m[1]]
    v1 = {c for _, kind, names in found if kind == "cgroup" for c in names}
    for place, kind, names in sorted(found, key=lambda m: m[1] != "cgroup2"):
        unified = kind == "cgroup2"
        mine = "" if unified else next((n for n in names & ENTERED if n in own), None)
        home = "" if mine is None else make_home(place, own.get(mine, ""), node)
        if not home:
            continue
        sweep(home)
        usable = (of_unified(home, v1) if unified else names & WANTED) - seen
        if usable:
            seen |= usable
            # each hierarchy costs a run 15 us; where forks can be stopped, a run is
            # only taken into the one that freezes when it has to be
            waits = usable == {"freezer"} and "pids" in v1
            trees.append(Tree(home, usable, unified, on_demand=waits))
    return trees


def of_unified(home: str, v1: set[str]) -> frozenset[str]:
    """What version 2 does for us beside the controllers that version 1 has."""
    usable = enable(home, frozenset({"memory", "cpu", "pids"}) - v1)
    if os.path.exists(f"{home}/cgroup.freeze"):
        usable |= {"freezer"}
    if usable - {"freezer"} or not v1 & {"pids", "freezer"}:
        usable |= {"cpuacct"} - v1
    return usable


def clear_out(node: str) -> None:
    """Go back to where we may be and take the node's groups away."""
    own = own_paths()
    for place, _, names in mounts():
        mine = next((n for n in names if n in own), "")  # "": version 2
        path, found, _ = (place + own.get(mine, "")).rpartition(f"/kos-{node}/")
        if found and write(f"{path}/cgroup.procs", 0):
            remove_with_children(f"{path}/kos-{node}")
