"""The life of a run, as one table. Everything else asks this module."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class RunState(StrEnum):
    QUEUED = "queued"  # wanted; holds no resources
    ADMITTED = "admitted"  # given a node; resources reserved
    STARTING = "starting"  # its node has it; pre-start hooks run
    RUNNING = "running"  # its program has started
    SUSPENDED = "suspended"  # frozen by preemption; keeps memory, frees CPU
    STOPPING = "stopping"  # asked to end; still holds its resources
    SUCCEEDED = "succeeded"  # its program ended with exit code 0
    FAILED = "failed"  # it could not start in time, or ended by itself in another way
    CANCELLED = "cancelled"  # somebody called it off
    TIMED_OUT = "timed_out"  # its time limit ended it
    PREEMPTED = "preempted"  # ended to make room; its work is queued again
    LOST = "lost"  # its node or process vanished; how it ended is unknown


S = RunState
TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    S.QUEUED: frozenset({S.ADMITTED, S.CANCELLED, S.FAILED}),
    S.ADMITTED: frozenset({S.STARTING, S.QUEUED, S.CANCELLED, S.LOST}),
    S.STARTING: frozenset({S.RUNNING, S.STOPPING, S.FAILED, S.CANCELLED, S.LOST}),
    S.RUNNING: frozenset(
        {S.SUSPENDED, S.STOPPING, S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.LOST}
    ),
    # SUCCEEDED: it ended in the instant before it was frozen, or just thawed
    S.SUSPENDED: frozenset(
        {S.RUNNING, S.STOPPING, S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.LOST}
    ),
    S.STOPPING: frozenset(
        {S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT, S.PREEMPTED, S.LOST}
    ),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.TIMED_OUT: frozenset(),
    S.PREEMPTED: frozenset(),
    S.LOST: frozenset(),
}
FINAL = frozenset(state for state, after in TRANSITIONS.items() if not after)
HOLDS_RESOURCES = frozenset(TRANSITIONS) - FINAL - {S.QUEUED}
HAS_PROGRAM = frozenset({S.STARTING, S.RUNNING, S.SUSPENDED, S.STOPPING})


def allowed(before: RunState, after: RunState) -> bool:
    return after in TRANSITIONS[before]
