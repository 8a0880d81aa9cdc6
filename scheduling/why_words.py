"""The sentences of an answer to "why"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scheduling.models import Run
from scheduling.planner.changes import Change
from scheduling.planner.snapshot import Resources
from scheduling.run_state import RunState

S = RunState


def of_state(run: Run) -> str:
    """Why a run that does not wait is where it is."""
    node = run.node.name if run.node is not None else "its node"
    said = {
        S.ADMITTED: f"{node} was given it and is about to take it",
        S.STARTING: f"{node} prepares it: what comes before its start is under way",
        S.RUNNING: f"it runs on {node}",
        S.SUSPENDED: f"it is frozen on {node} and goes on when there is room",
        S.STOPPING: f"it was asked to stop and has not ended yet on {node}",
        S.SUCCEEDED: "it ran and ended with exit code 0",
        S.FAILED: f"it failed{_how(run)}",
        S.CANCELLED: "it was called off",
        S.TIMED_OUT: "its time limit ended it",
        S.PREEMPTED: "it ended to make room; its work is queued again",
        S.LOST: "its node or its process vanished",
    }[S(run.state)]
    return f"{said}: {run.reason}" if run.reason else said


def _how(run: Run) -> str:
    if run.oom_killed:
        return " out of memory"
    if run.signal is not None:
        return f" by signal {run.signal}"
    return f" with exit code {run.exit_code}" if run.exit_code is not None else ""


def late(late_s: float, waits: Sequence[Mapping[str, Any]]) -> str:
    """Of a run that began late: by how much, and what it waited for."""
    said = f"; it started {late_s:.0f} s after it was due"
    texts = dict.fromkeys(str(wait["text"]) for wait in waits)
    return said + (f", having waited for: {'; '.join(texts)}" if texts else "")


def of_change(change: Change, *, by_itself: bool = False) -> str:
    """What is to be done. `by_itself`: the scheduler does it anyway."""
    count, room = len(change.runs), amount(change.amount)
    runs = f"{count} run{'s' if count > 1 else ''}"
    if change.kind == "stop" and by_itself:
        return f"nothing: the scheduler stops {runs} for it"
    where = f" on {change.node}" if change.node else ""
    return {
        "wait": "wait until those that are stopping have gone",
        "boost": "boost it to the front",
        "config": f"raise max_concurrent_agents by {change.slots}",
        "stop": f"stop {runs}{where}",
        "hold": f"hold the {runs} ahead of it",
        "open": f"uncordon {change.node}, or bring it up",
        "ports": f"free the ports it wants on {change.node}",
        "requirement": f"provide on {change.node} what it requires",
        "environment": f"offer {change.environment} on {change.node}",
        "capacity": f"give {change.node} {room} more",
        "node": f"add a node that offers {change.environment}, with {room} for agents",
    }[change.kind]


def amount(need: Resources) -> str:
    parts = []
    if need.cpu_millis:
        parts.append(f"{need.cpu_millis / 1000:g} cores")
    if need.memory_bytes:
        parts.append(f"{need.memory_bytes / 1e9:.2f} GB memory")
    if need.gpus:
        parts.append(f"{need.gpus} GPU" + ("s" if need.gpus > 1 else ""))
    return " and ".join(parts) or "any room"
