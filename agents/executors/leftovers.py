"""Without control groups: the processes a run leaves behind when its program ends.

Orphans below us come to the holder or the guard (subreapers), so what is left of a run
is among their children, or below one of those. Told apart by KOS_RUN in the
environment, else by session, else by a working folder inside the run's own.
"""

from __future__ import annotations

import os

from agents.executors import children
from agents.executors.held import Run


def find(run: Run, mains: set[int], reapers: tuple[int, ...]) -> list[int]:
    """Living processes of the run besides its main program."""
    found: list[int] = []
    for reaper in reapers:
        for pid in children.below(reaper):
            if pid not in mains and pid not in reapers and belongs(pid, run):
                found += with_descendants(pid)
    return found


def belongs(pid: int, run: Run) -> bool:
    seen = children.stat(pid)
    if seen is None or seen.state in "ZX":
        return False
    name = children.run_of(pid)
    if name:
        return name == run.name
    if seen.session == run.pid:
        return True
    try:
        return f"{os.readlink(f'/proc/{pid}/cwd')}/".startswith(f"{run.folder}/")
    except OSError:
        return False


def with_descendants(pid: int) -> list[int]:
    found = [pid]
    for at in found:  # grows as we go
        for thread in _threads(at):
            data = children.read_small(f"/proc/{at}/task/{thread}/children", 1 << 20)
            found += [int(child) for child in data.split()]
    return found


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
