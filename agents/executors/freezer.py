"""Takes the CPU from a run for a while, every process of it.

Where the groups of the runs can be frozen, that is one write. Where they cannot (the
mixed machine: limits in version 1, freezing in the version 2 mount beside it), a group
of the same name is made there when it is first asked for, and the run's processes move
into it: a start pays nothing for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from agents.executors import children
from agents.executors.cgroup_trees import Tree, remove, write

MOST_ROUNDS = 50  # of looking for processes that were forked meanwhile


class Freezer:
    """`name` is that of a run's group, in this tree as in the others."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def freeze(self, name: str, members: Callable[[], list[int]]) -> bool:
        """Whether all of them have come to rest; else ask again in a moment."""
        if self.tree.on_demand:
            os.makedirs(self._group(name), exist_ok=True)
        self._set(name, True)  # first: whatever moves in stops there, and forks no more
        return self._holds_all(name, members) and self.is_frozen(name)

    def thaw(self, name: str) -> None:
        self._set(name, False)

    def is_frozen(self, name: str) -> bool:
        if self.tree.unified:
            said = children.read_small(f"{self._group(name)}/cgroup.events")
            return b"frozen 1" in said
        return children.read_small(f"{self._group(name)}/freezer.state") == b"FROZEN\n"

    def has(self, name: str) -> bool:
        return self.tree.on_demand and os.path.isdir(self._group(name))

    def drop(self, name: str) -> None:
        """Thawed, lest what is left of it can never end."""
        self.thaw(name)
        remove(self._group(name))

    def _holds_all(self, name: str, members: Callable[[], list[int]]) -> bool:
        """Move in who is not inside yet, until a look finds nobody."""
        if not self.tree.on_demand:
            return True
        door = f"{self._group(name)}/cgroup.procs"
        for _ in range(MOST_ROUNDS):
            inside = {*children.read_small(door, 1 << 16).split()}
            outside = [p for p in members() if b"%d" % p not in inside]
            moved = [p for p in outside if write(door, p)]
            if not moved and not any(map(children.is_living, outside)):
                return True
        return False

    def _set(self, name: str, frozen: bool) -> bool:
        if self.tree.unified:
            return write(f"{self._group(name)}/cgroup.freeze", int(frozen))
        state = "FROZEN" if frozen else "THAWED"
        return write(f"{self._group(name)}/freezer.state", state)

    def _group(self, name: str) -> str:
        return f"{self.tree.path}/{name}"
