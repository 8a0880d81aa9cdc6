"""Crash loops: a persistent agent that keeps failing is left alone until somebody
resets it. Computed from its runs, never stored.

A crash is a run that failed or ran into its time limit. In a row count those since the
agent was last started by somebody or ran quietly for `reset_after`; runs that were
preempted or lost with their node say nothing of the agent and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.http import iso
from scheduling import hot_reads
from scheduling.models import Run
from scheduling.restarts import CRASHES, crash_limit
from scheduling.run_state import RunState

S = RunState
NOT_ITS_FAULT = frozenset({S.PREEMPTED, S.LOST})
COLUMNS = ("state", "attempt", "started_at", "ended_at", "reason")


@dataclass(frozen=True, slots=True)
class CrashLoop:
    since: datetime
    crashes: int
    reason: str

    def shown(self) -> dict[str, Any]:
        since = iso(self.since)
        return {"since": since, "crashes": self.crashes, "reason": self.reason}


def in_a_row(rows: Iterable[Mapping[str, Any]], reset_after_s: float) -> int:
    """Crashes at the newest end of the runs, which come newest first."""
    count = 0
    for row in rows:
        if row["state"] in NOT_ITS_FAULT:
            continue
        if row["state"] not in CRASHES:
            break
        count += 1
        started, ended = row["started_at"], row["ended_at"]
        ran_for_s = (ended - started).total_seconds() if started and ended else 0.0
        if row["attempt"] == 1 or ran_for_s >= reset_after_s:
            break
    return count


def crashes_of(run: Run, rule: Mapping[str, Any]) -> int:
    """Crashes in a row up to this run; 1 where there cannot be too many."""
    limit = crash_limit(rule)
    if not limit or run.attempt < limit:
        return 1
    before = Run.objects.filter(agent=run.agent_id, pk__lte=run.pk).order_by("-pk")
    rows = before.values(*COLUMNS)[: 4 * limit + 100]
    return in_a_row(rows, rule["reset_after_s"])


def of(newest: Run | None) -> CrashLoop | None:
    """The crash loop that an agent with this newest run is in, if it is in one."""
    if newest is None or newest.state not in CRASHES:
        return None
    (spec,) = hot_reads.specs({newest.version_id}).values()
    limit = crash_limit(spec["restart"])
    if spec["kind"] != "persistent" or not limit or newest.attempt < limit:
        return None
    crashes = crashes_of(newest, spec["restart"])
    if crashes < limit or spec["restart"]["policy"] == "never":
        return None
    since = newest.ended_at or newest.state_since
    reason = f"crash loop: {crashes} crashes in a row; the last: {newest.reason}"
    return CrashLoop(since, crashes, reason)
