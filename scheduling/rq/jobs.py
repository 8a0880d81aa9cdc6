"""RQ's way in. A job finds its objects, reads the clock and calls one service.

Jobs carry ids, never objects; each may be delivered twice and must not mind.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.timezone import now

from scheduling import node_process
from scheduling.housekeeping import CHORES


def launch_runs(batch: Sequence[tuple[int, int]]) -> None:
    """Start runs on this node: (run id, fencing token) each."""
    node_process.current().launch([(i, t) for i, t in batch], now=now())


def look_and_launch(batch: Sequence[tuple[int, int]]) -> None:
    """As launch_runs, for runs that require something: it is looked for once more."""
    node_process.current().look_and_launch([(i, t) for i, t in batch])


def housekeep(name: str) -> None:
    """Do one chore by its name; one that is no longer known is left."""
    chore = CHORES.get(name)
    if chore is not None:
        chore.work(now())
